import fc from 'fast-check';
import type { MeshSnapshot } from '../../pkg/catalog/snapshot.ts';
import { namespace, pod, routeGroup, service, slice, snapshotOf, split, target, tcpRoute } from './snapshot.ts';

export const spaces = ['n', 'm'];
export const accounts = ['a', 'b', 'c'];
const some = <T>(...values: readonly T[]): fc.Arbitrary<T> => fc.constantFrom(...values);

const namespaceOf = fc.record({
  name: some(...spaces),
  mode: some('enforce' as const, 'permissive' as const, 'shadow' as const),
});
export const podOf = fc
  .record({
    in: some(...spaces),
    n: fc.nat(4),
    account: some(...accounts),
    version: some('1', '2'),
    ip: fc.integer({ min: 1, max: 250 }),
    ready: fc.nat(3).map((x) => x > 0),
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
export const serviceOf = fc
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
export const sliceOf = fc
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
export const targetOf = fc
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
export const smiOf = fc.oneof(targetOf, targetOf, groupOf, tcpOf, splitOf);

/** Tells objects apart as an API server would. */
export const idOf = (object: {
  metadata?: { namespace: string; name: string };
  kind?: string;
  namespace?: string;
  name?: string;
}): string =>
  `${object.kind ?? ''} ${object.metadata?.namespace ?? object.namespace ?? ''}/${object.metadata?.name ?? object.name ?? ''}`;
const unique = <T extends object>(one: fc.Arbitrary<T>, maxLength: number): fc.Arbitrary<T[]> =>
  fc.uniqueArray(one, { maxLength, selector: (object) => idOf(object) });

/** A mesh of two namespaces: small enough to collide, with references that lead nowhere and objects that make no sense. */
export const snapshot: fc.Arbitrary<MeshSnapshot> = fc
  .record({
    namespaces: unique(namespaceOf, 2).map((list) => list.map(({ name, mode }) => namespace(name, { mode }))),
    pods: unique(podOf, 8),
    services: unique(serviceOf, 6),
    endpointSlices: unique(sliceOf, 2),
    smi: unique(smiOf, 14),
  })
  .map(snapshotOf);
