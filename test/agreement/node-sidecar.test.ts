import assert from 'node:assert/strict';
import { makeCall } from '../conformance/node-calls.ts';
import { startNodeMesh } from '../conformance/node-mesh.ts';
import type { MeshFacts } from '../../pkg/explain/mesh-facts.ts';
import { type DecidedCall, describeTrial, differsThrough, holdAgreement, trials } from './sidecar-calls.ts';
import type { Disagreement } from './shrink.ts';
import { keepDisagreement } from './write-scenario.ts';

const requests = Number(process.env['AGREEMENT_REQUESTS'] ?? 5_000);
const seed = Number(process.env['AGREEMENT_SEED'] ?? 1);
const callsPerMesh = 60;
const sharedCalls = 12;
/** Each starts a mesh. */
const shrinkTries = 300;

describe('decide and the Node sidecar', () => {
  it(`agree on ${requests} random requests (AGREEMENT_SEED=${seed})`, async function () {
    this.timeout(1_800_000);
    const failures: string[] = [];
    let found: Disagreement | undefined;
    let made = 0;
    for (const trial of trials(seed, callsPerMesh)) {
      const mesh = await startNodeMesh(trial.facts.model);
      try {
        for (const decided of trial.calls) {
          const times = decided.shared ? sharedCalls : 1;
          made += times;
          try {
            holdAgreement(await makeCall(mesh, decided.call, times), decided, 2.01 / times);
          } catch (error) {
            failures.push(describeTrial(trial, decided, error));
            found ??= { snapshot: trial.facts.snapshot, call: decided.call };
          }
        }
      } finally {
        await mesh.stop();
      }
      if (made >= requests || failures.length > 20) break;
    }
    if (found !== undefined) {
      const path = await keepDisagreement('decide-and-node', found, differsThrough(holdThroughNode), shrinkTries);
      failures.push(`the first, as small as it gets, as a scenario: ${path}`);
    }
    assert.deepEqual(failures, []);
  });
});

async function holdThroughNode({ model }: MeshFacts, decided: DecidedCall): Promise<void> {
  const mesh = await startNodeMesh(model);
  const times = decided.shared ? sharedCalls : 1;
  try {
    holdAgreement(await makeCall(mesh, decided.call, times), decided, 2.01 / times);
  } finally {
    await mesh.stop();
  }
}
