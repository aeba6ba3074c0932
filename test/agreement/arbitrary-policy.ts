import fc from 'fast-check';
import type { MeshSnapshot, RawObject } from '../../pkg/catalog/snapshot.ts';
import { accounts, idOf, podOf, serviceOf, sliceOf, spaces } from '../support/arbitrary-mesh.ts';
import { scenarioConfig } from '../support/scenario.ts';
import { namespace, snapshotOf } from '../support/snapshot.ts';
import { friendlyObjects } from './friendly-policy.ts';

/** Patterns that match, nearly match, are broken, and that are meant to hurt who runs them. */
const hostilePatterns = [
  '/a',
  '/.*',
  '.*',
  '/b|/a',
  '/a/.*',
  '/[ab]',
  '^/a$',
  '/a$',
  '(?i)/A',
  '(?i:/a)b?',
  '/a/?',
  '/(a+)+',
  '/(a|a)*b?',
  '(/a){1,50}',
  '/\\x61',
  '/\\Qa\\E',
  '/\\p{Ll}',
  '/[[:alpha:]]',
  '/[^/]+',
  '/a(?:b)?',
  '/a*?',
  '',
  '(',
  '/a(?=b)',
  '(/a)\\1',
  '/a{1001}',
  '[z-a]',
  `/a|/${'x'.repeat(10_240)}`,
  '(?s).*',
  '/a\n',
  '/é',
  '/a\\b',
];

const space = fc.constantFrom(...spaces);
const account = fc.constantFrom(...accounts);
const rare = (yes: number): fc.Arbitrary<boolean> => fc.nat(yes).map((n) => n === 0);

function object(
  group: string,
  kind: string,
  version: string,
  at: { in: string; name: string },
  body: object,
): RawObject {
  const metadata = { namespace: at.in, name: at.name };
  return { apiVersion: `${group}.smi-spec.io/${version}`, kind, metadata, ...body };
}

const subject = fc.record(
  {
    kind: fc.constantFrom('ServiceAccount', 'ServiceAccount', 'ServiceAccount', 'IdentityBinding', 'serviceaccount'),
    name: fc.oneof({ weight: 5, arbitrary: account }, fc.constantFrom('i0', 'i1', 'nobody')),
    namespace: space,
  },
  { requiredKeys: ['kind', 'name'] },
);

const rule = fc.oneof(
  {
    weight: 4,
    arbitrary: fc.record(
      {
        kind: fc.constant('HTTPRouteGroup'),
        name: fc.constantFrom('g0', 'g1', 'g2', 'gone'),
        matches: fc.array(fc.constantFrom('x', 'y', 'X', 'gone'), { maxLength: 3 }),
      },
      { requiredKeys: ['kind', 'name'] },
    ),
  },
  fc.record({
    kind: fc.constantFrom('TCPRoute', 'TCPRoute', 'UDPRoute', 'HttpRouteGroup'),
    name: fc.constantFrom('t0', 't1', 't2'),
  }),
);

const target = fc
  .record({
    in: space,
    n: fc.nat(4),
    version: fc.constantFrom('v1alpha1', 'v1alpha2', 'v1alpha3', 'v1alpha4', 'v1alpha9'),
    destination: subject,
    port: fc.option(fc.constantFrom(8080, 9090, 80), { freq: 4, nil: undefined }),
    own: rare(3).map((other) => !other),
    sources: fc.array(subject, { maxLength: 3 }),
    rules: fc.array(rule, { maxLength: 3 }),
    shadow: rare(5),
  })
  .map(({ in: inside, n, version, destination, port, own, sources, rules, shadow }) => {
    const meant = own ? { ...destination, namespace: inside } : destination;
    const to = port !== undefined && version < 'v1alpha3' ? { ...meant, port } : meant;
    const body =
      version === 'v1alpha1'
        ? { destination: to, sources, specs: rules }
        : { spec: { destination: to, sources, rules } };
    const made = object('access', 'TrafficTarget', version, { in: inside, name: `t${n}` }, body);
    return shadow ? { ...made, metadata: { ...made.metadata, annotations: { 'tulle.dev/mode': 'shadow' } } } : made;
  });

const headers = fc.oneof(
  fc.array(
    fc.dictionary(
      fc.constantFrom('x-one', 'X-Two', 'host', 'user-agent'),
      fc.constantFrom('1', '.*', '[12]', '1.*', '('),
      { maxKeys: 2 },
    ),
    { maxLength: 2 },
  ),
  fc.dictionary(fc.constantFrom('x-one', 'host'), fc.constantFrom('1', '.*', 's0.n(:80)?'), { maxKeys: 2 }),
);

const match = fc.record(
  {
    name: fc.constantFrom('x', 'y', 'X'),
    pathRegex: fc.constantFrom(...hostilePatterns),
    methods: fc.array(fc.constantFrom('GET', 'POST', '*', 'get'), { maxLength: 2 }),
    headers,
  },
  { requiredKeys: ['name'] },
);

const group = fc
  .record({
    in: space,
    n: fc.nat(2),
    version: fc.constantFrom('v1alpha1', 'v1alpha2', 'v1alpha3', 'v1alpha4'),
    matches: fc.array(match, { maxLength: 3 }),
  })
  .map(({ in: inside, n, version, matches }) =>
    object(
      'specs',
      'HTTPRouteGroup',
      version,
      { in: inside, name: `g${n}` },
      version < 'v1alpha3' ? { matches } : { spec: { matches } },
    ),
  );

const tcpRoute = fc
  .record({
    in: space,
    n: fc.nat(2),
    version: fc.constantFrom('v1alpha1', 'v1alpha2', 'v1alpha3', 'v1alpha4'),
    kind: fc.constantFrom('TCPRoute', 'TCPRoute', 'TCPRoute', 'UDPRoute'),
    ports: fc.option(fc.array(fc.constantFrom<number | string>(8080, 9090, 80, 'http', 0), { maxLength: 2 }), {
      nil: undefined,
    }),
  })
  .map(({ in: inside, n, version, kind, ports }) => {
    const body =
      version === 'v1alpha4'
        ? { spec: ports ? { matches: { ports } } : {} }
        : version === 'v1alpha3'
          ? { spec: {} }
          : {};
    return object('specs', kind, version, { in: inside, name: `t${n}` }, body);
  });

const binding = fc
  .record({
    in: space,
    n: fc.nat(1),
    schemes: fc.record(
      {
        serviceAccount: account,
        podLabelSelector: fc.constant({ matchLabels: { version: '1' } }),
        spiffeIdentities: account.map((name) => [`spiffe://cluster.local/ns/n/sa/${name}`]),
      },
      { requiredKeys: [] },
    ),
  })
  .map(({ in: inside, n, schemes }) =>
    object('access', 'IdentityBinding', 'v1alpha4', { in: inside, name: `i${n}` }, { spec: { schemes } }),
  );

const split = fc
  .record({
    in: space,
    n: fc.nat(2),
    version: fc.constantFrom('v1alpha1', 'v1alpha2', 'v1alpha3', 'v1alpha4'),
    root: fc.constantFrom('s0', 's1', 's2.n', 's3.n.svc.cluster.local', 's9', 's0.m'),
    backends: fc.array(
      fc.record({
        service: fc.constantFrom('s0', 's1', 's2', 's3', 's9'),
        weight: fc.constantFrom<number | string>(0, 1, 1, 3, 90, '500m', '1', -1, 'x'),
      }),
      { maxLength: 3 },
    ),
    matches: fc.option(fc.subarray(['g0', 'g2', 'gone'], { minLength: 1 }), { nil: undefined }),
  })
  .map(({ in: inside, n, version, root, backends, matches }) =>
    object(
      'split',
      'TrafficSplit',
      version,
      { in: inside, name: `x${n}` },
      {
        spec: {
          service: root,
          backends,
          ...(matches &&
            version === 'v1alpha4' && { matches: matches.map((name) => ({ kind: 'HTTPRouteGroup', name })) }),
        },
      },
    ),
  );

const smi = fc.oneof({ weight: 5, arbitrary: target }, { weight: 3, arbitrary: group }, tcpRoute, binding, {
  weight: 2,
  arbitrary: split,
});

const mode = fc.constantFrom(
  'enforce' as const,
  'enforce' as const,
  'enforce' as const,
  'permissive' as const,
  'shadow' as const,
);
const unique = <T extends object>(
  one: fc.Arbitrary<T>,
  size: { minLength?: number; maxLength: number },
): fc.Arbitrary<T[]> => fc.uniqueArray(one, { ...size, selector: (each) => idOf(each) });

/** A mesh with SMI objects of all kinds and versions, overlapping and broken. */
export const agreementMesh: fc.Arbitrary<MeshSnapshot> = fc
  .record({
    modes: fc.tuple(mode, mode),
    pathMatch: fc.constantFrom('full' as const, 'full' as const, 'start' as const),
    pods: unique(podOf, { minLength: 1, maxLength: 8 }),
    services: unique(serviceOf, { minLength: 1, maxLength: 8 }),
    endpointSlices: unique(sliceOf, { maxLength: 2 }),
    objects: unique(smi, { minLength: 4, maxLength: 20 }),
    friendly: friendlyObjects,
  })
  .map(({ modes, pathMatch, pods, services, endpointSlices, objects, friendly }) => ({
    ...snapshotOf({
      namespaces: spaces.map((name, i) => namespace(name, { mode: modes[i] ?? 'enforce' })),
      pods: pods.map((pod, i) => ({ ...pod, ip: `10.1.0.${i + 1}` })),
      services: services.map((service, i) =>
        service.headless ? service : { ...service, clusterIPs: [`10.96.0.${i + 1}`] },
      ),
      endpointSlices,
      smi: [...objects, ...friendly],
    }),
    config: { ...scenarioConfig, pathMatch },
  }));
