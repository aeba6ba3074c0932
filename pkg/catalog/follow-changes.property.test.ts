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
} from '../../test/support/arbitrary-mesh.ts';
import { describeModel } from '../../test/support/describe-policy.ts';
import { namespace, pod, routeGroup, service, slice, split, target } from '../../test/support/snapshot.ts';
import { buildMesh, createMeshBuilder } from './build-mesh.ts';
import type { MeshSnapshot, RawObject } from './snapshot.ts';

/**
 * A mesh of some dozens of each, so that one change is a small part of every list: lists are then changed at one place,
 * where the small meshes of the other properties are made anew.
 */
const count = 32;
const space = (i: number): string => spaces[i % spaces.length] as string;
const numbers = Array.from({ length: count }, (_, i) => i);

const crowdPod = (i: number, more: Parameters<typeof pod>[2] = {}): MeshSnapshot['pods'][number] =>
  pod(space(i), `c${i}`, { labels: { app: `c${i}`, tier: `t${i % 3}` }, ip: `10.1.0.${i + 1}`, ...more });
const crowdTarget = (i: number, from: readonly string[], to = `c${i}`): RawObject =>
  target(space(i), `c${i}`, { to, from, rules: [{ kind: 'HTTPRouteGroup', name: 'all' }] });
const crowdSplit = (i: number, weight: number): RawObject =>
  split(space(i), `c${i}`, `c${i}`, { [`c${i}`]: weight, [`c${(i + 2) % count}`]: 1 });

const crowd = {
  pods: numbers.map((i) => crowdPod(i)),
  services: numbers.map((i) => service(space(i), `c${i}`)),
  smi: [
    ...spaces.map((name) => routeGroup(name, 'all', [{ name: 'x', pathRegex: '/.*' }])),
    ...numbers.map((i) => crowdTarget(i, [`${space(i + 1)}/c${(i + 1) % count}`, 'n/a'])),
    ...numbers.slice(0, 10).map((i) => crowdSplit(i, 3)),
  ],
};

type Lists = 'pods' | 'services' | 'smi' | 'endpointSlices' | 'namespaces';
interface Edit {
  readonly list: Lists;
  readonly with: object;
}

const one = fc.nat({ max: count - 1 });
const edit: fc.Arbitrary<Edit> = fc.oneof(
  fc.record({ i: one, ip: fc.nat(250), ready: fc.boolean() }).map(({ i, ip, ready }) => ({
    list: 'pods' as const,
    with: crowdPod(i, { ip: `10.2.0.${ip}`, ready }),
  })),
  fc.record({ i: one, other: one, meshed: fc.boolean() }).map(({ i, other, meshed }) => ({
    list: 'pods' as const,
    with: crowdPod(i, { serviceAccount: `c${other}`, labels: { app: `c${other}` }, meshed }),
  })),
  fc.record({ i: one, tier: fc.constantFrom('t0', 't1', 'c3') }).map(({ i, tier }) => ({
    list: 'services' as const,
    with: service(space(i), `c${i}`, { selector: { tier } }),
  })),
  fc.record({ i: one, from: fc.array(one, { maxLength: 3 }), to: fc.option(one, { nil: undefined }) }).map((t) => ({
    list: 'smi' as const,
    with: crowdTarget(
      t.i,
      t.from.map((j) => `${space(j)}/c${j}`),
      t.to === undefined ? undefined : `c${t.to}`,
    ),
  })),
  fc.record({ i: one, weight: fc.nat(3) }).map(({ i, weight }) => ({
    list: 'smi' as const,
    with: crowdSplit(i, weight),
  })),
  fc
    .record({ name: fc.constantFrom(...spaces), mode: fc.constantFrom('enforce' as const, 'permissive' as const) })
    .map(({ name, mode }) => ({ list: 'namespaces' as const, with: namespace(name, { mode }) })),
  fc.record({ i: one, ip: one }).map(({ i, ip }) => ({
    list: 'services' as const,
    with: service(space(i), `c${i}`, { clusterIPs: [`10.96.0.${ip}`] }),
  })),
  fc
    .record({ i: one, ips: fc.array(fc.tuple(fc.constantFrom('10.1', '10.2', '10.96'), one), { maxLength: 3 }) })
    .map(({ i, ips }) => ({
      list: 'endpointSlices' as const,
      with: slice({ namespace: space(i), name: `c${i}` }, [
        { addresses: ips.map(([net, ip]) => `${net}.0.${ip}`), ready: true },
      ]),
    })),
  podOf.map((each) => ({ list: 'pods' as const, with: each })),
  serviceOf.map((each) => ({ list: 'services' as const, with: each })),
  smiOf.map((each) => ({ list: 'smi' as const, with: each })),
  sliceOf.map((each) => ({ list: 'endpointSlices' as const, with: each })),
);

/** Puts an object in the place of its namesake, or at the end; or takes it out; or moves it to the end. */
function apply(mesh: MeshSnapshot, { list, with: object }: Edit, how: 'put' | 'remove' | 'move'): MeshSnapshot {
  const before = mesh[list] as readonly object[];
  const at = before.findIndex((each) => idOf(each) === idOf(object));
  const rest = before.filter((_, i) => i !== at);
  const after = how === 'remove' ? rest : how === 'put' && at >= 0 ? before.with(at, object) : [...rest, object];
  return { ...mesh, [list]: after };
}

describe('following the changes of a mesh', () => {
  it('gives what building at once gives, whatever changes, and what clients without a pod may do', () => {
    const step = fc.record({ edit, how: fc.constantFrom('put', 'put', 'put', 'remove', 'move') });
    const clients = [...accounts, 'c1', 'c2'].map((name) => `spiffe://cluster.local/ns/n/sa/${name}`);
    fc.assert(
      fc.property(snapshot, fc.array(step, { minLength: 3, maxLength: 12 }), (first, steps) => {
        const builder = createMeshBuilder();
        let mesh: MeshSnapshot = {
          ...first,
          pods: [...crowd.pods, ...first.pods],
          services: [...crowd.services, ...first.services],
          smi: [...crowd.smi, ...first.smi],
        };
        let earlier = builder.build(mesh);
        let problems = earlier.problems;
        for (const { edit, how } of steps) {
          mesh = apply(mesh, edit, how);
          const again = builder.build(mesh);
          const once = buildMesh(mesh);
          assert.deepEqual(describeModel(again.value), describeModel(once.value));
          assert.deepEqual(again.problems, once.problems);
          for (const client of clients) {
            const [is, should] = [again, once].map(({ value }) => value.policyOf(client as never));
            assert.deepEqual(is, should, client);
          }
          assert.deepEqual(
            [...(again.value.pods.values().next().value?.directory.keys() ?? [])],
            [...(once.value.pods.values().next().value?.directory.keys() ?? [])],
            'the directory is in the same order',
          );
          // What was given out stays as it was.
          assert.equal(earlier.problems, problems);
          earlier = again;
          problems = again.problems;
        }
      }),
      { numRuns: 40 },
    );
  }).timeout(120_000);
});
