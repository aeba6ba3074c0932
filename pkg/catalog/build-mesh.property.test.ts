import assert from 'node:assert/strict';
import fc from 'fast-check';
import { describeModel } from '../../test/support/describe-policy.ts';
import {
  namespace,
  pod,
  routeGroup,
  service,
  slice,
  snapshotOf,
  split,
  target,
  tcpRoute,
} from '../../test/support/snapshot.ts';
import { decideInbound } from '../policy/decide.ts';
import type { ServiceIdentity } from '../policy/identity.ts';
import type { HttpRequest } from '../policy/match.ts';
import { buildMesh, createMeshBuilder } from './build-mesh.ts';
import type { MeshModel } from './mesh-model.ts';
import type { MeshSnapshot, RawObject } from './snapshot.ts';

const spaces = ['n', 'm'];
const accounts = ['a', 'b', 'c'];
const some = <T>(...values: readonly T[]): fc.Arbitrary<T> => fc.constantFrom(...values);

const namespaceOf = fc.record({
  name: some(...spaces),
  mode: some('enforce' as const, 'permissive' as const, 'shadow' as const),
});
const podOf = fc
  .record({
    in: some(...spaces),
    n: fc.nat(4),
    account: some(...accounts),
    version: some('1', '2'),
    ip: fc.integer({ min: 1, max: 250 }),
    ready: fc.boolean(),
    meshed: fc.integer({ min: 0, max: 5 }).map((x) => x > 0),
  })
  .map(({ in: space, n, account, version, ip, ready, meshed }) =>
    pod(space, `p${n}`, {
      serviceAccount: account,
      labels: { app: account, version },
      ip: `10.0.${n}.${ip}`,
      ready,
      meshed,
      ports: [{ name: 'main', port: 8080 }],
    }),
  );
const serviceOf = fc
  .record({
    in: some(...spaces),
    n: fc.nat(3),
    selector: some({ app: 'a' }, { app: 'b' }, { version: '1' }, { version: '2' }, { app: 'c', version: '1' }),
    targetPort: some<number | string>(8080, 9090, 'main', 'none'),
    name: some('http', 'tcp-x', 'grpc'),
    headless: fc.integer({ min: 0, max: 5 }).map((x) => x === 0),
    second: fc.boolean(),
  })
  .map(({ in: space, n, selector, targetPort, name, headless, second }) =>
    service(space, `s${n}`, {
      selector,
      headless,
      ports: [
        { name, port: 80, targetPort, protocol: 'TCP' },
        ...(second
          ? [
              {
                name: 'http-2',
                port: 81,
                targetPort: 8080,
                protocol: 'TCP' as const,
              },
            ]
          : []),
      ],
    }),
  );
const sliceOf = fc
  .record({
    in: some(...spaces),
    n: fc.nat(3),
    pod: fc.nat(5),
    ready: fc.boolean(),
  })
  .map((s) =>
    slice({ namespace: s.in, name: `s${s.n}` }, [
      {
        addresses: ['10.9.9.9'],
        ready: s.ready,
        ...(s.pod < 5 && { pod: `p${s.pod}` }),
      },
    ]),
  );
const rule = fc.oneof(
  fc.record(
    {
      kind: fc.constant('HTTPRouteGroup'),
      name: some('g0', 'g1', 'g2'),
      matches: fc.subarray(['x', 'y', 'gone'], { minLength: 1 }),
    },
    { requiredKeys: ['kind', 'name'] },
  ),
  fc.record({
    kind: some('TCPRoute', 'TCPRoute', 'UDPRoute', 'Nonsense'),
    name: some('t0', 't1', 't2'),
  }),
);
const source = fc.tuple(some(...spaces), some(...accounts)).map((parts) => parts.join('/'));
const targetOf = fc
  .record({
    in: some(...spaces),
    n: fc.nat(4),
    to: fc.oneof(some(...accounts), source),
    from: fc.uniqueArray(source, { maxLength: 3 }),
    rules: fc.array(rule, { maxLength: 3 }),
    shadow: fc.integer({ min: 0, max: 4 }).map((x) => x === 0),
  })
  .map(({ in: space, n, shadow, ...spec }) =>
    target(space, `t${n}`, {
      ...spec,
      ...(shadow && { annotations: { 'tulle.dev/mode': 'shadow' } }),
    }),
  );
const matchOf = fc.record(
  {
    name: some('x', 'y'),
    pathRegex: some('/a', '/.*', '/b|/a', '('),
    methods: some(['GET'], ['POST', '*'], []),
  },
  { requiredKeys: ['name'] },
);
const groupOf = fc
  .record({
    in: some(...spaces),
    n: fc.nat(2),
    matches: fc.array(matchOf, { maxLength: 3 }),
  })
  .map((g) => routeGroup(g.in, `g${g.n}`, g.matches));
const tcpOf = fc
  .record({
    in: some(...spaces),
    n: fc.nat(2),
    ports: fc.subarray([8080, 9090]),
  })
  .map((t) => tcpRoute(t.in, `t${t.n}`, t.ports));
const splitOf = fc
  .record({
    in: some(...spaces),
    n: fc.nat(2),
    root: fc.nat(4),
    weights: fc.dictionary(some('s0', 's1', 's2', 's9'), fc.nat(3), {
      maxKeys: 3,
    }),
    matches: fc.option(fc.subarray(['g0', 'g2'], { minLength: 1 }), {
      nil: undefined,
    }),
  })
  .map((s) => split(s.in, `x${s.n}`, `s${s.root}`, s.weights, s.matches));
const smiOf = fc.oneof(targetOf, targetOf, groupOf, tcpOf, splitOf);

const idOf = (object: {
  metadata?: { namespace: string; name: string };
  kind?: string;
  namespace?: string;
  name?: string;
}): string =>
  `${object.kind ?? ''} ${object.metadata?.namespace ?? object.namespace ?? ''}/${object.metadata?.name ?? object.name ?? ''}`;
const unique = <T extends object>(one: fc.Arbitrary<T>, maxLength: number): fc.Arbitrary<T[]> =>
  fc.uniqueArray(one, { maxLength, selector: (object) => idOf(object) });

const snapshot: fc.Arbitrary<MeshSnapshot> = fc
  .record({
    namespaces: unique(namespaceOf, 2).map((list) => list.map(({ name, mode }) => namespace(name, { mode }))),
    pods: unique(podOf, 8),
    services: unique(serviceOf, 6),
    endpointSlices: unique(sliceOf, 2),
    smi: unique(smiOf, 14),
  })
  .map(snapshotOf);

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
      fc.property(snapshot, fc.nat(), some(...mistakes), (mesh, at, mistake) => {
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
