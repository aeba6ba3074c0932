import fc from 'fast-check';
import type { RawObject } from '../../pkg/catalog/snapshot.ts';
import { accounts, idOf, spaces } from '../support/arbitrary-mesh.ts';

/** Objects that fit together: without them next to nothing is ever served, and no share is anybody's. */

function object(group: string, kind: string, inside: string, name: string, spec: object): RawObject {
  const metadata = { namespace: inside, name };
  return { apiVersion: `${group}.smi-spec.io/v1alpha4`, kind, metadata, spec };
}

const fixed: readonly RawObject[] = spaces.flatMap((space) => [
  object('specs', 'HTTPRouteGroup', space, 'all', { matches: [{ name: 'all' }] }),
  object('specs', 'HTTPRouteGroup', space, 'some', {
    matches: [
      { name: 'read', methods: ['GET', 'HEAD'], pathRegex: '/a|/b' },
      { name: 'write', methods: ['POST'], pathRegex: '/.*', headers: [{ 'x-one': '1|12' }] },
    ],
  }),
  object('specs', 'TCPRoute', space, 'any', {}),
  object('specs', 'TCPRoute', space, 'some', { matches: { ports: [8080] } }),
]);

const everybody = spaces.flatMap((namespace) => accounts.map((name) => ({ kind: 'ServiceAccount', namespace, name })));
const all = { kind: 'HTTPRouteGroup', name: 'all' };
const some = { kind: 'HTTPRouteGroup', name: 'some' };
const anyPort = { kind: 'TCPRoute', name: 'any' };
const somePort = { kind: 'TCPRoute', name: 'some' };

const target = fc
  .record({
    space: fc.constantFrom(...spaces),
    n: fc.nat(5),
    account: fc.constantFrom(...accounts),
    sources: fc.subarray(everybody, { minLength: 2 }),
    // A rule without conditions beside hides those that have some.
    rules: fc.constantFrom([anyPort], [all], [some], [some], [some], [some], [some, somePort], [all, somePort]),
  })
  .map(({ space, n, account, sources, rules }) => {
    const destination = { kind: 'ServiceAccount', namespace: space, name: account };
    return object('access', 'TrafficTarget', space, `friendly-${n}`, { destination, sources, rules });
  });

const service = fc.constantFrom('s0', 's1', 's2', 's3');

const split = fc
  .record({
    space: fc.constantFrom(...spaces),
    root: service,
    backends: fc.uniqueArray(fc.record({ service, weight: fc.integer({ min: 0, max: 9 }) }), {
      minLength: 2,
      maxLength: 3,
      selector: (backend) => backend.service,
    }),
    matched: fc.nat(3).map((n) => n === 0),
  })
  .map(({ space, root, backends, matched }) => {
    const matches = matched ? { matches: [{ kind: 'HTTPRouteGroup', name: 'some' }] } : {};
    return object('split', 'TrafficSplit', space, `friendly-${root}`, { service: root, backends, ...matches });
  });

export const friendlyObjects: fc.Arbitrary<readonly RawObject[]> = fc
  .tuple(
    fc.uniqueArray(target, { minLength: 2, maxLength: 8, selector: idOf }),
    fc.uniqueArray(split, { maxLength: 3, selector: idOf }),
  )
  .map(([targets, splits]) => [...fixed, ...targets, ...splits]);
