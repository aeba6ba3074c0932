import { homedir } from 'node:os';
import { join } from 'node:path';
import { findEnvoy, findEnvoyVersion, oldestEnvoyVersion } from '../../pkg/local/envoy/find-envoy.ts';
import type { FoundEnvoy } from '../../pkg/local/envoy/find-envoy.ts';
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

const search = { path: process.env['PATH'] ?? '', cache: join(homedir(), '.cache', 'tulle') };

/** The oldest is fetched when TULLE_ALL_ENVOYS is set, and runs wherever it is in the cache already. */
const envoys: readonly { readonly title: string; readonly find: () => FoundEnvoy | undefined }[] = [
  { title: 'conformance of Envoy', find: () => findEnvoy({ ...search, fetch: true }) },
  {
    title: `conformance of Envoy ${oldestEnvoyVersion}, the oldest that is accepted`,
    find: () => findEnvoyVersion(oldestEnvoyVersion, { ...search, fetch: process.env['TULLE_ALL_ENVOYS'] === '1' }),
  },
];

function isShared({ shares, denied, unavailable }: Expectation): boolean {
  const parts = [...Object.values(shares ?? {}), denied ?? 0, unavailable ?? 0];
  return parts.some((part) => part > 0 && part < 1);
}

function toReasons({ reason }: Expectation): CallOutcome['reasons'] {
  return reason === undefined || reason === 'Unavailable' ? [] : [reason];
}

for (const { title: suite, find } of envoys) {
  describe(suite, function () {
    this.timeout(120_000);
    let mesh: EnvoyMesh | undefined;
    let version = '';

    before(async function () {
      this.timeout(600_000);
      const found = find();
      if (!found) return this.skip();
      version = found.version;
      mesh = await startEnvoyMesh(found.program);
    });

    after(() => mesh?.stop());

    for (const name of scenarioNames()) {
      it(`${name}: every call ends as calls.yaml says`, async () => {
        const running = mesh as EnvoyMesh;
        const { model, calls } = await loadScenario(name);
        const froms = [...new Set(calls.flatMap(({ from }) => from ?? []))];
        const loaded = await running.load(model, froms);
        const failures: string[] = [];
        for (const call of calls) {
          const title = titleOf(call);
          if (skipReason('envoy', name, title, version) !== undefined) continue;
          try {
            const shared = isShared(call.expect);
            const made = await makeCall(running, loaded, call, shared ? manyCalls : 2);
            const outcome = skipsWhy('envoy', name, title) ? { ...made, reasons: toReasons(call.expect) } : made;
            assertOutcome(outcome, call.expect, shared ? tolerance : 1e-9);
          } catch (error) {
            failures.push(`${title}: ${error instanceof Error ? error.message : String(error)}`);
          }
        }
        if (failures.length > 0) throw new Error(failures.join('\n'));
      });
    }
  });
}
