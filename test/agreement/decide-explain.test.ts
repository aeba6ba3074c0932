import assert from 'node:assert/strict';
import fc from 'fast-check';
import { findDestination, findSource } from '../../pkg/explain/call-parties.ts';
import { explainCall } from '../../pkg/explain/explain-call.ts';
import type { Explanation } from '../../pkg/explain/explanation.ts';
import { type MeshFacts, toMeshFacts } from '../../pkg/explain/mesh-facts.ts';
import { renderExplanation } from '../../pkg/explain/render-explanation.ts';
import { toCallRequest } from '../../pkg/explain/request.ts';
import type { Call } from '../conformance/calls.ts';
import { decideCall } from '../conformance/decide-call.ts';
import { arbitraryDraft, type Asked, callTo } from './arbitrary-call.ts';
import { agreementMesh } from './arbitrary-policy.ts';
import type { Disagreement } from './shrink.ts';
import { keepDisagreement } from './write-scenario.ts';

const decisions = Number(process.env['AGREEMENT_DECISIONS'] ?? 20_000);
const perMesh = 40;
const seed = process.env['AGREEMENT_SEED'] === undefined ? {} : { seed: Number(process.env['AGREEMENT_SEED']) };

/** The question as a person would put it. */
function ask(facts: MeshFacts, call: Asked): Explanation {
  const source = findSource(facts, call.from ?? '-');
  assert.ok('value' in source, JSON.stringify(source));
  const destination = findDestination(facts, call.to, source.value.namespace);
  assert.ok('value' in destination, JSON.stringify(destination));
  const authority = call.authority ?? call.to;
  const sent = { method: call.method, target: call.path, headers: call.headers };
  const request = call.protocol === 'http' ? toCallRequest(sent, authority) : undefined;
  return explainCall(facts, { source: source.value, destination: destination.value, ...(request && { request }) });
}

describe('decide and explain', () => {
  it(`agree on ${decisions} random decisions, in every part of what they say`, async function () {
    this.timeout(600_000);
    let compared = 0;
    const numRuns = Math.ceil((decisions * 1.2) / perMesh);
    const drafts = fc.array(arbitraryDraft, { minLength: perMesh, maxLength: perMesh });
    let found: Disagreement | undefined;
    const property = fc.property(agreementMesh, drafts, (mesh, list) => {
      const facts = toMeshFacts(mesh);
      for (const draft of list) {
        const asked = callTo(mesh, draft);
        if (asked === undefined) continue;
        compared += 1;
        const call: Call = { ...asked, expect: { allow: true } };
        found = { snapshot: mesh, call };
        holdBoth(facts, call);
      }
    });
    try {
      fc.assert(property, { numRuns, ...seed, endOnFailure: true });
    } catch (error) {
      if (found === undefined || !(error instanceof Error)) throw error;
      const path = await keepDisagreement('decide-and-explain', found, differs);
      throw new Error(`${error.message}\nas small as it gets, as a scenario: ${path}`, { cause: error });
    }
    assert.ok(compared >= decisions, `${compared} compared`);
  });
});

function holdBoth(facts: MeshFacts, call: Call): void {
  const said = ask(facts, call);
  hold(said, decideCall(facts.model, call));
  // Whatever it says can be said.
  assert.ok(renderExplanation(said, plain).length > 3);
}

function differs({ snapshot, call }: Disagreement): boolean {
  const facts = toMeshFacts(snapshot);
  decideCall(facts.model, call);
  try {
    holdBoth(facts, call);
    return false;
  } catch {
    return true;
  }
}

const same = (text: string): string => text;
const plain = { good: same, bad: same, dim: same, strong: same, place: () => '' };

function hold(said: Explanation, decided: ReturnType<typeof decideCall>): void {
  const near = (a: number, b: number, what: string): void =>
    assert.ok(Math.abs(a - b) < 1e-9, `${what}: ${a} and ${b}: ${JSON.stringify({ said, decided })}`);
  // A question without a request, put to a port that speaks HTTP, is another one than bytes that are not HTTP.
  if (decided.malformed > 0 && said.request === undefined) return;
  const served = Object.values(decided.shares).reduce((sum, share) => sum + share, 0);
  // Nobody is there, and a caller without a sidecar has nothing that would tell it so.
  if (served + decided.denied + decided.unavailable + decided.malformed === 0) {
    assert.equal(said.answer, 'unavailable');
    return;
  }
  near(said.served, served, 'served');
  near(said.denied, decided.denied, 'denied');
  near(said.unavailable, decided.unavailable, 'unavailable');
  near(said.malformed, decided.malformed, 'malformed');
  assert.deepEqual(said.reasons, decided.reasons, JSON.stringify({ said, decided }));
  // What is told of the parts is what was decided for the whole.
  for (const backend of said.backends.filter(({ outcome }) => outcome === 'served')) {
    if (backend.mode !== 'enforce') continue;
    assert.ok(
      backend.targets.some(({ held, shadow }) => held && !shadow),
      'served, and no target held',
    );
  }
  if (said.answer === 'deny') {
    for (const { targets } of said.backends) {
      assert.ok(!targets.some(({ held, shadow }) => held && !shadow), JSON.stringify(said));
    }
  }
}
