import fc from 'fast-check';
import type { MeshSnapshot } from '../../pkg/catalog/snapshot.ts';
import type { Call } from '../conformance/calls.ts';
import { accounts, spaces } from '../support/arbitrary-mesh.ts';

export type Asked = Omit<Call, 'expect'>;

/** A call to some Service of a mesh; which, is told with the mesh (`callTo`). */
export type Draft = Omit<Asked, 'to'> & { readonly pick: number; readonly spelling: number };

/** Targets that are matched, that are nearly matched, and that try to get past. */
const hostileTargets = [
  '/a',
  '/b',
  '/a/',
  '//a',
  '/x/../a',
  '/x/..;p/a',
  '/%61',
  '/%2e/a',
  '/x/%2E%2e/a',
  '/a%2fb',
  '/a%5Cb',
  '/a\\..\\b',
  '/a?b=/../c',
  '/a#b',
  '/a%00',
  '/A',
  '/ab',
  '/a/b;c=d',
  '/%',
  '/%2%66a',
  '/é',
  '*',
  'http://s0.n/a',
  '/.',
  '/..',
  '///',
];

const headerName = fc.constantFrom('x-one', 'X-One', 'x-two', 'user-agent', 'x-tulle-reason', 'x-envoy-original-path');
const headerValue = fc.constantFrom('1', '2', '1, 2', '', 'a b', 'curl/8', '12');

export const arbitraryDraft: fc.Arbitrary<Draft> = fc
  .record({
    from: fc.option(
      fc.tuple(fc.constantFrom(...spaces), fc.constantFrom(...accounts)).map((parts) => parts.join('/')),
      { nil: undefined, freq: 8 },
    ),
    pick: fc.nat(100),
    spelling: fc.nat(3),
    protocol: fc.constantFrom('http' as const, 'http' as const, 'http' as const, 'tcp' as const),
    method: fc.constantFrom('GET', 'GET', 'GET', 'POST', 'POST', 'HEAD', 'PUT', 'DELETE', 'OPTIONS', 'PATCH'),
    path: fc.oneof(
      { weight: 3, arbitrary: fc.constantFrom('/a', '/b', '/', '/c') },
      fc.constantFrom(...hostileTargets),
    ),
    headers: fc.array(fc.tuple(headerName, headerValue), { maxLength: 3 }),
    authority: fc.option(fc.constantFrom('s0.n', 's0.n:80', 'evil.example', 'S0.N', '10.0.0.1:80'), { nil: undefined }),
  })
  .map(({ from, authority, ...rest }) => ({
    ...rest,
    ...(from !== undefined && { from }),
    ...(authority !== undefined && { authority }),
  }));

/** Undefined: the mesh has no Service port to call. */
export function callTo({ services }: MeshSnapshot, { pick, spelling, ...call }: Draft): Asked | undefined {
  const ports = services.flatMap(({ namespace, name, ports: own }) =>
    own.map(({ port }) => ({ namespace, name, port })),
  );
  const chosen = ports[pick % Math.max(1, ports.length)];
  if (chosen === undefined) return undefined;
  const { namespace, name, port } = chosen;
  const suffix = ['', '.svc', '.svc.cluster', '.svc.cluster.local'][spelling] ?? '';
  return { ...call, to: `${name}.${namespace}${suffix}:${port}` };
}
