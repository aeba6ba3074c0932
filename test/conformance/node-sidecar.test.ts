import { loadScenario, scenarioNames } from '../support/scenario.ts';
import { titleOf } from './calls.ts';
import type { Expectation } from './calls.ts';
import { assertOutcome } from './decide-call.ts';
import { makeCall } from './node-calls.ts';
import { startNodeMesh } from './node-mesh.ts';
import type { NodeMesh } from './node-mesh.ts';
import { skipReason } from './skips.ts';

/** So many calls tell shares apart; one is enough where all go the same way, and a second shows that a connection is used again. */
function timesFor({ shares, denied, unavailable }: Expectation): number {
  const parts = [...Object.values(shares ?? {}), denied ?? 0, unavailable ?? 0];
  return parts.some((part) => part > 0 && part < 1) ? 60 : 2;
}

describe('conformance of the Node sidecar', () => {
  for (const name of scenarioNames()) {
    describe(name, () => {
      let mesh: NodeMesh;
      let model: Awaited<ReturnType<typeof loadScenario>>;

      it('every call ends as calls.yaml says', async function () {
        this.timeout(60_000);
        model = await loadScenario(name);
        mesh = await startNodeMesh(model.model);
        const failures: Error[] = [];
        for (const call of model.calls) {
          const title = titleOf(call);
          if (skipReason('node', name, title) !== undefined) continue;
          try {
            const times = timesFor(call.expect);
            // Least request over equal endpoints may be one call off in each of them.
            assertOutcome(await makeCall(mesh, call, times), call.expect, 2.01 / times > 1 ? 1e-9 : 2.01 / times);
          } catch (error) {
            failures.push(new Error(`${title}: ${error instanceof Error ? error.message : String(error)}`));
          }
        }
        if (failures.length > 0) throw new Error(failures.map(({ message }) => message).join('\n'));
      });

      after(() => mesh?.stop());
    });
  }
});
