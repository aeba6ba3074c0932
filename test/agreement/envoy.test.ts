import assert from 'node:assert/strict';
import { homedir } from 'node:os';
import { join } from 'node:path';
import { type EnvoyMesh, startEnvoyMesh } from '../conformance/envoy-mesh.ts';
import { toTelling } from '../conformance/envoy-telling.ts';
import { findEnvoy } from '../../pkg/local/envoy/find-envoy.ts';
import { askEnvoys } from './envoy-asking.ts';
import type { MeshFacts } from '../../pkg/explain/mesh-facts.ts';
import { type DecidedCall, describeTrial, differsThrough, trials } from './sidecar-calls.ts';
import type { Disagreement } from './shrink.ts';
import { keepDisagreement } from './write-scenario.ts';

const requests = Number(process.env['AGREEMENT_REQUESTS'] ?? 5_000);
const seed = Number(process.env['AGREEMENT_SEED'] ?? 1);
const callsPerMesh = 60;
/** Often enough to tell a half from a fifth. */
const sharedCalls = 80;
/** Each gives all proxies another configuration. */
const shrinkTries = 200;

describe('decide and Envoy', () => {
  let mesh: EnvoyMesh | undefined;

  before(async function () {
    this.timeout(600_000);
    const cache = join(homedir(), '.cache', 'tulle');
    const { program } = findEnvoy({ path: process.env['PATH'] ?? '', cache, fetch: true });
    mesh = await startEnvoyMesh(program, () => undefined, toTelling);
  });

  after(() => mesh?.stop());

  it(`agree on ${requests} random requests (AGREEMENT_SEED=${seed})`, async function () {
    this.timeout(1_800_000);
    const running = mesh as EnvoyMesh;
    const failures: string[] = [];
    let found: Disagreement | undefined;
    let made = 0;
    let refused = 0;
    for (const trial of trials(seed, callsPerMesh)) {
      const clients = [...new Set(trial.calls.flatMap(({ call }) => call.from ?? []))];
      try {
        const loaded = await running.load(trial.facts.model, clients);
        const asked = await askEnvoys(loaded, trial.calls, sharedCalls);
        made += asked.requests;
        const [first] = asked.failures;
        if (first) found ??= { snapshot: trial.facts.snapshot, call: first.decided.call };
        failures.push(...asked.failures.map(({ decided, error }) => describeTrial(trial, decided, error)));
      } catch (error) {
        // What an Envoy refuses is a disagreement like any other.
        refused += 1;
        failures.push(`AGREEMENT_SEED=${trial.seed}: ${error instanceof Error ? error.message : String(error)}`);
      }
      if (made >= requests || failures.length > 20 || refused > 2) break;
    }
    if (found !== undefined) {
      const differs = differsThrough((facts, decided) => holdThroughEnvoy(running, facts, decided));
      const path = await keepDisagreement('decide-and-envoy', found, differs, shrinkTries);
      failures.push(`the first, as small as it gets, as a scenario: ${path}`);
    }
    assert.equal(failures.length, 0, failures.join('\n'));
  });
});

async function holdThroughEnvoy(running: EnvoyMesh, { model }: MeshFacts, decided: DecidedCall): Promise<void> {
  const loaded = await running.load(model, decided.call.from === undefined ? [] : [decided.call.from]);
  const { failures } = await askEnvoys(loaded, [decided], sharedCalls);
  for (const { error } of failures) throw error;
}
