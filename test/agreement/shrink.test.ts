import assert from 'node:assert/strict';
import { mkdtempSync, readFileSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import fc from 'fast-check';
import { parse } from 'yaml';
import { buildMesh } from '../../pkg/catalog/build-mesh.ts';
import type { MeshModel } from '../../pkg/catalog/mesh-model.ts';
import type { MeshSnapshot } from '../../pkg/catalog/snapshot.ts';
import { readMesh } from '../../pkg/provider/files/read-mesh.ts';
import { decodeCalls } from '../conformance/calls.ts';
import { type CallOutcome, decideCall } from '../conformance/decide-call.ts';
import { scenarioConfig } from '../support/scenario.ts';
import { arbitraryDraft, callTo } from './arbitrary-call.ts';
import { agreementMesh } from './arbitrary-policy.ts';
import { type Disagreement, shrink } from './shrink.ts';
import { writeScenario } from './write-scenario.ts';

const models = new WeakMap<MeshSnapshot, MeshModel>();

function outcomeOf({ snapshot, call }: Disagreement): CallOutcome {
  const model = models.get(snapshot) ?? buildMesh(snapshot).value;
  models.set(snapshot, model);
  return decideCall(model, call);
}

/** Faults on purpose: what a `decide` would say that got something wrong. */
const faults: readonly { readonly name: string; readonly wrong: (found: Disagreement) => CallOutcome }[] = [
  {
    name: 'that takes every source for one that is named',
    wrong(found) {
      const outcome = outcomeOf(found);
      return outcome.reasons.includes('SourceNotAllowed') ? { ...outcome, denied: 0, shares: { any: 1 } } : outcome;
    },
  },
  {
    name: 'that lets the first backend have everything',
    wrong(found) {
      const outcome = outcomeOf(found);
      const [first, second] = Object.keys(outcome.shares);
      return first !== undefined && second !== undefined ? { ...outcome, shares: { [first]: 1 } } : outcome;
    },
  },
  {
    name: 'that does not look at headers',
    wrong: (found) => outcomeOf({ ...found, call: { ...found.call, headers: [['x-one', '1']] } }),
  },
];

describe('shrinking a disagreement', function () {
  this.timeout(120_000);
  for (const { name, wrong } of faults) {
    it(`leaves little of a random mesh for a decide ${name}, and writes a scenario that still shows it`, async () => {
      const differs = (found: Disagreement): boolean =>
        JSON.stringify(wrong(found)) !== JSON.stringify(outcomeOf(found));
      const found = findDisagreement(differs);
      const small = await shrink(found, differs);
      assert.ok(differs(small), 'what is left shows nothing');
      const { snapshot, call } = small;
      const sizes = [snapshot.smi, snapshot.pods, snapshot.services].map((list) => list.length);
      assert.ok(sizes[0]! <= 5 && sizes[1]! <= 4 && sizes[2]! <= 3, `${sizes.join(' ')} objects are left`);
      assert.deepEqual([call.path, call.method, call.authority], ['/', 'GET', undefined]);

      const path = mkdtempSync(join(tmpdir(), 't-scenario-'));
      try {
        writeScenario(path, small, name);
        const config = { ...scenarioConfig, pathMatch: snapshot.config.pathMatch };
        const read = await readMesh({ inputs: [join(path, 'mesh.in.yaml')], config });
        const calls = decodeCalls(parse(readFileSync(join(path, 'calls.yaml'), 'utf8')), name);
        assert.equal(calls.length, 1);
        assert.ok(differs({ snapshot: read.snapshot, call: calls[0] as never }), 'what is written shows nothing');
      } finally {
        rmSync(path, { recursive: true, force: true });
      }
    });
  }

  it('asks no more often than it may', async () => {
    let asked = 0;
    const found = findDisagreement(() => true);
    await shrink(found, () => ((asked += 1), false), 7);
    assert.equal(asked, 7);
  });
});

/** The first of random meshes and calls in which somebody differs. */
function findDisagreement(differs: (found: Disagreement) => boolean): Disagreement {
  for (let seed = 1; seed < 200; seed++) {
    const [snapshot] = fc.sample(agreementMesh, { numRuns: 1, seed });
    if (snapshot === undefined) continue;
    for (const draft of fc.sample(arbitraryDraft, { numRuns: 60, seed })) {
      const call = callTo(snapshot, draft);
      if (call === undefined) continue;
      const found: Disagreement = { snapshot, call: { ...call, expect: { allow: true } } };
      if (differs(found)) return found;
    }
  }
  throw new Error('no random mesh shows the fault');
}
