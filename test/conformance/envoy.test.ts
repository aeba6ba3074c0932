import { homedir } from 'node:os';
import { join } from 'node:path';
import { findEnvoy } from '../../pkg/local/envoy/find-envoy.ts';
import { loadScenario, scenarioNames } from '../support/scenario.ts';
import { titleOf } from './calls.ts';
import type { Expectation } from './calls.ts';
import { assertOutcome } from './decide-call.ts';
import type { CallOutcome } from './decide-call.ts';
import { makeCall } from './envoy-calls.ts';
import { startEnvoyMesh } from './envoy-mesh.ts';
import type { EnvoyMesh } from './envoy-mesh.ts';
import { skipReason, skipsWhy } from './skips.ts';

/** Envoy draws lots: with so many calls a share is within `tolerance` but once in a million. */
const manyCalls = 120;
const tolerance = 0.23;

function isShared({ shares, denied, unavailable }: Expectation): boolean {
  const parts = [...Object.values(shares ?? {}), denied ?? 0, unavailable ?? 0];
  return parts.some((part) => part > 0 && part < 1);
}

function toReasons({ reason }: Expectation): CallOutcome['reasons'] {
  return reason === undefined || reason === 'Unavailable' ? [] : [reason];
}

describe('conformance of Envoy', function () {
  this.timeout(120_000);
  let mesh: EnvoyMesh;

  before(async () => {
    const cache = join(homedir(), '.cache', 'tulle');
    const { program } = findEnvoy({ path: process.env['PATH'] ?? '', cache, fetch: true });
    mesh = await startEnvoyMesh(process.env['TULLE_TEST_ENVOY'] ?? program);
  });

  after(() => mesh?.stop());

  for (const name of scenarioNames()) {
    it(`${name}: every call ends as calls.yaml says`, async () => {
      const { model, calls } = await loadScenario(name);
      const froms = [...new Set(calls.flatMap(({ from }) => from ?? []))];
      const loaded = await mesh.load(model, froms);
      const failures: string[] = [];
      for (const call of calls) {
        const title = titleOf(call);
        if (skipReason('envoy', name, title) !== undefined) continue;
        try {
          const shared = isShared(call.expect);
          const outcome = await makeCall(mesh, loaded, call, shared ? manyCalls : 2);
          assertOutcome(
            skipsWhy('envoy', name, title) ? { ...outcome, reasons: toReasons(call.expect) } : outcome,
            call.expect,
            shared ? tolerance : 1e-9,
          );
        } catch (error) {
          failures.push(`${title}: ${error instanceof Error ? error.message : String(error)}`);
        }
      }
      if (failures.length > 0) throw new Error(failures.join('\n'));
    });
  }
});
