import assert from 'node:assert/strict';
import fc from 'fast-check';
import { analyzeMesh } from '../../pkg/analysis/analyze-mesh.ts';
import { diffAccess } from '../../pkg/cases/access-diff.ts';
import { toMatrix } from '../../pkg/cases/access-matrix.ts';
import { accessTable, everybody, type Route } from '../../pkg/cases/access-table.ts';
import { findDestination, findSource } from '../../pkg/explain/call-parties.ts';
import { type MeshFacts, toMeshFacts } from '../../pkg/explain/mesh-facts.ts';
import { toCallRequest } from '../../pkg/explain/request.ts';
import { walkCall } from '../../pkg/explain/walk-call.ts';
import { matches } from '../../pkg/policy/matches.ts';
import type { HttpRequest } from '../../pkg/policy/match.ts';
import { problemReasons } from '../../pkg/problem/reasons.ts';
import { arbitraryDraft, type Asked, callTo } from './arbitrary-call.ts';
import { agreementMesh } from './arbitrary-policy.ts';

const numRuns = 300;

describe('tools on random meshes', () => {
  it('analyze finds what has a code, and finds the same twice', () => {
    const codes: readonly string[] = problemReasons;
    fc.assert(
      fc.property(agreementMesh, (mesh) => {
        const problems = analyzeMesh(toMeshFacts(mesh));
        assert.deepEqual(analyzeMesh(toMeshFacts(mesh)), problems);
        assert.ok(problems.every(({ reason, message, fix }) => codes.includes(reason) && message !== '' && fix !== ''));
      }),
      { numRuns, endOnFailure: true },
    );
  });

  it('diff sees no difference between a mesh and itself, and the same backwards', () => {
    fc.assert(
      fc.property(agreementMesh, agreementMesh, (one, other) => {
        const [a, b] = [accessTable(toMeshFacts(one)), accessTable(toMeshFacts(other))];
        assert.deepEqual(diffAccess(a, a), []);
        const key = ({ source, service, route }: { source: string; service: string; route: Route }): string =>
          JSON.stringify([source, service, route]);
        const gained = diffAccess(a, b).filter(({ kind }) => kind === 'gained');
        const lost = diffAccess(b, a).filter(({ kind }) => kind === 'lost');
        assert.deepEqual(gained.map(key), lost.map(key));
        assert.ok(toMatrix(a).startsWith('# Who may call whom'));
      }),
      { numRuns, endOnFailure: true },
    );
  });

  it('whatever is served stands in the table of access', () => {
    fc.assert(
      fc.property(agreementMesh, fc.array(arbitraryDraft, { minLength: 20, maxLength: 20 }), (mesh, drafts) => {
        const facts = toMeshFacts(mesh);
        const table = accessTable(facts);
        for (const draft of drafts) {
          const call = callTo(mesh, draft);
          if (call?.from !== undefined) hold(facts, table, call, call.from);
        }
      }),
      { numRuns, endOnFailure: true },
    );
  });
});

function hold(facts: MeshFacts, table: ReturnType<typeof accessTable>, call: Asked, from: string): void {
  const source = findSource(facts, from);
  const destination = findDestination(facts, call.to, from.split('/')[0] ?? '');
  assert.ok('value' in source && 'value' in destination && source.value.identity !== undefined);
  const { entry } = destination.value;
  const asked = toCallRequest(
    { method: call.method, target: call.path, headers: call.headers },
    call.authority ?? call.to,
  );
  if (asked.kind === 'malformed') return;
  const { request } = asked;
  const walk = walkCall(facts.model, { entry, source: source.value.identity, request });
  const access = table.get(entry.key);
  const own = [...(access?.bySource.get(from) ?? []), ...(access?.bySource.get(everybody) ?? [])];
  for (const { backend } of walk.parts.filter(({ kind }) => kind === 'served')) {
    const covered = own.some(({ route, backends }) => backends.has(backend) && fits(route, request));
    assert.ok(covered, JSON.stringify({ call, backend, own: own.map(({ route }) => route) }));
  }
}

function fits({ method, path, headers }: Route, request: HttpRequest): boolean {
  const origin = { kind: 'HTTPRouteGroup', namespace: '', name: '' };
  const conditions = {
    ...(path !== undefined && { path }),
    ...(method !== undefined && { methods: [method] }),
    ...(headers && { headers }),
  };
  return matches({ name: '', origin, ...conditions }, request);
}
