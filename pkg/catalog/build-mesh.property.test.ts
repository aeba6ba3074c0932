import assert from 'node:assert/strict';
import fc from 'fast-check';
import {
  accounts,
  idOf,
  podOf,
  serviceOf,
  sliceOf,
  smiOf,
  snapshot,
  spaces,
  targetOf,
} from '../../test/support/arbitrary-mesh.ts';
import { describeModel } from '../../test/support/describe-policy.ts';
import { decideInbound } from '../policy/decide.ts';
import type { ServiceIdentity } from '../policy/identity.ts';
import type { HttpRequest } from '../policy/match.ts';
import { buildMesh, createMeshBuilder } from './build-mesh.ts';
import type { MeshModel } from './mesh-model.ts';
import type { MeshSnapshot, RawObject } from './snapshot.ts';

const paths = ['/a', '/b', '/c'];
const methods = ['GET', 'POST'];

/** Every call that gets in anywhere, past any client: `pod:port <- source METHOD path`. */
function admitted(model: MeshModel): Set<string> {
  const calls = new Set<string>();
  for (const [name, { inbound }] of model.pods) {
    for (const port of [8080, 9090]) {
      for (const source of spaces.flatMap((space) =>
        accounts.map((account) => `spiffe://cluster.local/ns/${space}/sa/${account}`),
      )) {
        const call = { source: source as ServiceIdentity, port };
        if (decideInbound(inbound, call).allowed) calls.add(`${name}:${port} <- ${source} TCP`);
        for (const method of methods) {
          for (const path of paths) {
            const request: HttpRequest = {
              method,
              path,
              authority: 'x',
              header: () => [],
            };
            if (decideInbound(inbound, { ...call, request }).allowed)
              calls.add(`${name}:${port} <- ${source} ${method} ${path}`);
          }
        }
      }
    }
  }
  return calls;
}

function assertWithin(part: ReadonlySet<string>, whole: ReadonlySet<string>): void {
  assert.deepEqual(
    [...part].filter((call) => !whole.has(call)),
    [],
  );
}

/** What a mistake makes of an object: it can't be understood any more, or leads nowhere. */
const mistakes: readonly ((raw: RawObject) => RawObject | undefined)[] = [
  () => undefined,
  (raw) => ({ ...raw, apiVersion: `${raw.apiVersion}9` }),
  (raw) => ({ ...raw, spec: 'text' }),
  (raw) => ({ ...raw, spec: { ...(raw['spec'] as object), rules: [] } }),
  (raw) => ({ ...raw, spec: { ...(raw['spec'] as object), sources: [] } }),
  (raw) => ({ ...raw, spec: { ...(raw['spec'] as object), rules: 5 } }),
  (raw) => ({ ...raw, spec: { ...(raw['spec'] as object), matches: 'text' } }),
  (raw) => ({
    ...raw,
    spec: { ...(raw['spec'] as object), matches: { ports: 'text' } },
  }),
  (raw) => eachOf(raw, 'rules', (rule) => ({ ...rule, kind: 'TrafficRoute' })),
  (raw) => eachOf(raw, 'rules', (rule) => ({ ...rule, name: 'nowhere' })),
  (raw) => eachOf(raw, 'rules', (rule) => ({ ...rule, matches: 'x' })),
  (raw) => eachOf(raw, 'rules', (rule) => ({ ...rule, matches: ['nowhere'] })),
  (raw) => eachOf(raw, 'sources', (one) => ({ ...one, kind: 'User' })),
  (raw) => eachOf(raw, 'sources', (one) => ({ ...one, name: 7 })),
  (raw) => eachOf(raw, 'matches', (match) => ({ ...match, pathRegex: '(' })),
  (raw) => eachOf(raw, 'matches', (match) => ({ ...match, methods: 'GET' })),
  (raw) => eachOf(raw, 'matches', (match) => ({ ...match, headers: [5] })),
  (raw) => eachOf(raw, 'matches', (match) => ({ ...match, pathregex: '/a' })),
];

function eachOf(raw: RawObject, field: string, change: (member: object) => object): RawObject {
  const spec = raw['spec'] as Record<string, unknown>;
  const list = spec[field];
  return Array.isArray(list) ? { ...raw, spec: { ...spec, [field]: (list as object[]).map(change) } } : raw;
}

describe('properties of building a mesh', () => {
  it('one more TrafficTarget never refuses what got in', () => {
    fc.assert(
      fc.property(snapshot, targetOf, (mesh, more) => {
        const smi = mesh.smi.filter((raw) => idOf(raw) !== idOf(more));
        const before = admitted(buildMesh({ ...mesh, smi }).value);
        assertWithin(before, admitted(buildMesh({ ...mesh, smi: [...smi, more] }).value));
      }),
      { numRuns: 50 },
    );
  });

  it('an object that is broken never lets in more', () => {
    fc.assert(
      fc.property(snapshot, fc.nat(), fc.constantFrom(...mistakes), (mesh, at, mistake) => {
        const index = mesh.smi.length === 0 ? 0 : at % mesh.smi.length;
        const smi = mesh.smi.flatMap((raw, i) => (i === index ? (mistake(raw) ?? []) : raw));
        assertWithin(admitted(buildMesh({ ...mesh, smi }).value), admitted(buildMesh(mesh).value));
      }),
      { numRuns: 120 },
    );
  });

  it('the order of the objects means nothing', () => {
    fc.assert(
      fc.property(snapshot, (mesh) => {
        const reversed: MeshSnapshot = {
          ...mesh,
          namespaces: mesh.namespaces.toReversed(),
          pods: mesh.pods.toReversed(),
          services: mesh.services.toReversed(),
          endpointSlices: mesh.endpointSlices.toReversed(),
          smi: mesh.smi.toReversed(),
        };
        const [one, other] = [buildMesh(mesh), buildMesh(reversed)];
        assert.deepEqual(describeModel(other.value), describeModel(one.value));
        assert.deepEqual(other.problems, one.problems);
      }),
      { numRuns: 120 },
    );
  });

  it('building again after edits gives what building at once gives, and keeps what is equal', () => {
    const edit = fc.oneof(
      fc.record({ list: fc.constant('pods' as const), with: podOf }),
      fc.record({ list: fc.constant('services' as const), with: serviceOf }),
      fc.record({ list: fc.constant('smi' as const), with: smiOf }),
      fc.record({
        list: fc.constant('endpointSlices' as const),
        with: sliceOf,
      }),
    );
    const step = fc.record({ edit, remove: fc.boolean(), copy: fc.boolean() });
    fc.assert(
      fc.property(snapshot, fc.array(step, { minLength: 1, maxLength: 8 }), (first, steps) => {
        const builder = createMeshBuilder();
        let mesh = first;
        let previous = builder.build(mesh);
        for (const { edit, remove, copy } of steps) {
          const id = idOf(edit.with);
          const rest = (mesh[edit.list] as readonly object[]).filter((object) => idOf(object) !== id);
          mesh = {
            ...mesh,
            [edit.list]: remove ? rest : [...rest, edit.with],
          };
          // What is read anew is equal and not the same.
          if (copy) mesh = { ...structuredClone(mesh), config: mesh.config };
          const again = builder.build(mesh);
          const once = buildMesh(mesh);
          assert.deepEqual(describeModel(again.value), describeModel(once.value));
          assert.deepEqual(again.problems, once.problems);
          for (const [name, policy] of again.value.pods) {
            const before = previous.value.pods.get(name);
            if (before === undefined) continue;
            for (const part of ['inbound', 'reach', 'directory'] as const) {
              if (before[part] !== policy[part])
                assert.notDeepEqual(policy[part], before[part], `${name}: ${part} is another object and equal`);
            }
          }
          previous = again;
        }
      }),
      { numRuns: 120 },
    );
  });
});
