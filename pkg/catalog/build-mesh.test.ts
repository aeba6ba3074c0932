import assert from 'node:assert/strict';
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
import type { ServiceIdentity } from '../policy/identity.ts';
import type { ProxyPolicy } from '../policy/proxy-policy.ts';
import { buildMesh, createMeshBuilder } from './build-mesh.ts';
import type { MeshModel } from './mesh-model.ts';
import type { MeshSnapshot } from './snapshot.ts';

const buyer = 'spiffe://cluster.local/ns/shop/sa/buyer' as ServiceIdentity;
const rules = [{ kind: 'HTTPRouteGroup', name: 'routes' }];

/** buyer may call the store (v1, v2 behind a split); clerk may call the bank; guest may call nobody. */
const base = snapshotOf({
  services: [
    service('shop', 'store', { selector: { app: 'store' } }),
    service('shop', 'v1', { selector: { version: 'v1' } }),
    service('shop', 'v2', { selector: { version: 'v2' } }),
    service('bank', 'bank'),
  ],
  pods: [
    pod('shop', 'buyer-1', { serviceAccount: 'buyer' }),
    pod('shop', 'buyer-2', { serviceAccount: 'buyer', ip: '10.0.0.2' }),
    pod('shop', 'guest'),
    pod('shop', 'clerk'),
    pod('shop', 'v1', {
      serviceAccount: 'store',
      labels: { app: 'store', version: 'v1' },
    }),
    pod('shop', 'v2', {
      serviceAccount: 'store',
      labels: { app: 'store', version: 'v2' },
    }),
    pod('bank', 'bank'),
  ],
  smi: [
    target('shop', 'store', { to: 'store', from: ['buyer'], rules }),
    target('bank', 'bank', {
      to: 'bank',
      from: ['shop/clerk'],
      rules: [{ kind: 'TCPRoute', name: 'all' }],
    }),
    routeGroup('shop', 'routes', [{ name: 'books', pathRegex: '/books' }]),
    tcpRoute('bank', 'all'),
    split('shop', 'store', 'store', { v1: 9, v2: 1 }),
  ],
});

function policyIn(model: MeshModel, name: string): ProxyPolicy {
  const policy = model.pods.get(name);
  assert.ok(policy, `${name} has no policy`);
  return policy;
}

function replace<T>(list: readonly T[], index: number, value: T): T[] {
  return list.map((member, i) => (i === index ? value : member));
}

/** Builds `base`, then what `change` makes of it, with one builder. */
function rebuild(
  change: (snapshot: MeshSnapshot) => Partial<MeshSnapshot>,
): readonly [before: MeshModel, after: MeshModel] {
  const builder = createMeshBuilder();
  const { value: before } = builder.build(base);
  return [before, builder.build({ ...base, ...change(base) }).value];
}

describe('buildMesh', () => {
  it('meets a pod where its annotation says, meshed or not', () => {
    const inboundAddress = 'unix:/run/p/app-{port}.sock';
    const { value } = buildMesh(
      snapshotOf({
        services: [service('shop', 'bare', { selector: { app: 'bare' } })],
        pods: [
          pod('shop', 'buyer'),
          { ...pod('shop', 'bare', { labels: { app: 'bare' } }), meshed: false, inboundAddress },
        ],
      }),
    );
    const [set] = policyIn(value, 'shop/buyer').reach.endpoints.values();
    const [endpoint] = set?.endpoints ?? [];
    assert.deepEqual(endpoint?.address, { kind: 'pipe', path: `/run/p/app-${endpoint?.port}.sock` });
    assert.equal(endpoint?.meshed, false);
  });

  for (const slices of [
    [],
    [slice({ namespace: 'bank', name: 'bank' }, [{ addresses: ['10.0.0.1'], ready: true, pod: 'bank' }])],
  ])
    it(`has what a pod accepts ready before its address is told, and sends nobody there, with ${slices.length} slices`, () => {
      const [starting, started] = ['', '10.0.0.9'].map((ip) => {
        const late = pod('bank', 'late', { serviceAccount: 'bank', labels: { app: 'bank' }, ip, ready: ip !== '' });
        return { ...base, pods: [...base.pods, late], endpointSlices: slices };
      });
      const builder = createMeshBuilder();
      const { value: before } = builder.build(starting as MeshSnapshot);
      const { inbound } = policyIn(before, 'bank/late');
      assert.deepEqual(
        inbound.ports.map(({ port }) => port),
        [8080],
      );
      assert.equal(inbound, policyIn(before, 'bank/bank').inbound);
      assert.doesNotMatch(JSON.stringify([...policyIn(before, 'shop/clerk').reach.endpoints.values()]), /late/);
      // The address is told before a slice names it.
      assert.equal(policyIn(builder.build(started as MeshSnapshot).value, 'bank/late').inbound, inbound);
    });

  it('shares what is equal: policies of equal pods, reach of equal clients', () => {
    const { value } = buildMesh(base);
    assert.equal(policyIn(value, 'shop/buyer-1'), policyIn(value, 'shop/buyer-2'));
    assert.equal(policyIn(value, 'shop/guest').reach, policyIn(value, 'bank/bank').reach);
    assert.equal(policyIn(value, 'shop/guest').reach.outbound.size, 0);
    assert.equal(policyIn(value, 'shop/v1').inbound === policyIn(value, 'shop/v2').inbound, false);
    assert.equal(policyIn(value, 'shop/v1').inbound.rules, policyIn(value, 'shop/v2').inbound.rules);
  });

  it('gives a client that is no pod the reach of its identity, the same object while nothing changes', () => {
    const builder = createMeshBuilder();
    const { value: first } = builder.build(base);
    const asked = first.policyOf(buyer);
    assert.equal(asked.reach, policyIn(first, 'shop/buyer-1').reach);
    assert.deepEqual(asked.inbound.ports, []);
    const { value: second } = builder.build({
      ...base,
      namespaces: [namespace('other')],
    });
    assert.equal(second.policyOf(buyer), asked);
    assert.equal(first.policyOf('spiffe://elsewhere/x' as ServiceIdentity).reach, policyIn(first, 'shop/guest').reach);
  });

  it('puts every proxy of a permissive mesh on one reach', () => {
    const { value } = buildMesh({
      ...base,
      config: { ...base.config, mode: 'permissive' },
    });
    const reaches = new Set([...value.pods.values()].map(({ reach }) => reach));
    assert.equal(reaches.size, 1);
    assert.equal([...reaches][0]?.outbound.size, 4);
  });
});

describe('createMeshBuilder', () => {
  it('gives the same objects for the same snapshot, and for another one of the same content', () => {
    const builder = createMeshBuilder();
    const first = builder.build(base);
    const second = builder.build({ ...base });
    assert.equal(second.value.pods, first.value.pods);
    assert.equal(second.problems, first.problems);
    const copy = structuredClone(base);
    const third = builder.build(copy);
    for (const [name, policy] of first.value.pods) {
      const again = policyIn(third.value, name);
      assert.equal(again.inbound, policy.inbound, name);
      assert.equal(again.reach, policy.reach, name);
      assert.equal(again.directory, policy.directory, name);
      assert.equal(again, policy, name);
    }
  });

  it('a weight: one outbound fragment of the clients of the root, nothing else', () => {
    const [before, after] = rebuild(({ smi }) => ({
      smi: replace(smi, 4, split('shop', 'store', 'store', { v1: 5, v2: 5 })),
    }));
    for (const name of ['shop/guest', 'shop/clerk', 'shop/v1', 'bank/bank']) {
      assert.equal(policyIn(after, name), policyIn(before, name), name);
    }
    const [old, now] = [policyIn(before, 'shop/buyer-1'), policyIn(after, 'shop/buyer-1')];
    assert.equal(now.inbound, old.inbound);
    assert.equal(now.directory, old.directory);
    assert.equal(now.reach.endpoints, old.reach.endpoints);
    assert.notEqual(now.reach.outbound.get('shop/store:80'), old.reach.outbound.get('shop/store:80'));
    assert.equal(now.reach.outbound.get('shop/v1:80'), old.reach.outbound.get('shop/v1:80'));
    assert.equal(policyIn(after, 'shop/buyer-2'), now);
  });

  it('an endpoint: one set of those who reach it, no outbound fragment', () => {
    const [before, after] = rebuild(({ pods }) => ({
      pods: replace(
        pods,
        4,
        pod('shop', 'v1', {
          ip: '10.0.0.9',
          serviceAccount: 'store',
          labels: { app: 'store', version: 'v1' },
        }),
      ),
    }));
    for (const name of ['shop/guest', 'shop/clerk', 'shop/v1', 'shop/v2', 'bank/bank']) {
      assert.equal(policyIn(after, name), policyIn(before, name), name);
    }
    const [old, now] = [policyIn(before, 'shop/buyer-1').reach, policyIn(after, 'shop/buyer-1').reach];
    assert.equal(now.outbound, old.outbound);
    assert.notEqual(now.endpoints.get('shop/v1:80'), old.endpoints.get('shop/v1:80'));
    assert.equal(now.endpoints.get('shop/v2:80'), old.endpoints.get('shop/v2:80'));
  });

  it('a path of a route: the inbound policy of the destination, and nobody else', () => {
    const [before, after] = rebuild(({ smi }) => ({
      smi: replace(smi, 2, routeGroup('shop', 'routes', [{ name: 'books', pathRegex: '/books.*' }])),
    }));
    for (const name of ['shop/buyer-1', 'shop/guest', 'shop/clerk', 'bank/bank']) {
      assert.equal(policyIn(after, name), policyIn(before, name), name);
    }
    assert.notEqual(policyIn(after, 'shop/v1').inbound, policyIn(before, 'shop/v1').inbound);
    assert.equal(policyIn(after, 'shop/v1').reach, policyIn(before, 'shop/v1').reach);
  });

  it('a new source: its own reach and the inbound policy of the destination', () => {
    const [before, after] = rebuild(({ smi }) => ({
      smi: replace(
        smi,
        0,
        target('shop', 'store', {
          to: 'store',
          from: ['buyer', 'guest'],
          rules,
        }),
      ),
    }));
    for (const name of ['shop/buyer-1', 'shop/clerk', 'bank/bank']) {
      assert.equal(policyIn(after, name), policyIn(before, name), name);
    }
    assert.equal(policyIn(after, 'shop/guest').reach, policyIn(after, 'shop/buyer-1').reach);
  });

  it('a label or an annotation of an SMI object: nothing at all', () => {
    const labelled = {
      ...base.smi[0],
      metadata: { namespace: 'shop', name: 'store', labels: { team: 'a' } },
    };
    const [before, after] = rebuild(({ smi }) => ({
      smi: replace(smi, 0, labelled as (typeof smi)[number]),
    }));
    assert.equal(after.pods, before.pods);
  });

  it('goes back to where it was, without a trace', () => {
    const builder = createMeshBuilder();
    const first = builder.build(base);
    builder.build({ ...base, smi: base.smi.slice(1) });
    const third = builder.build(base);
    assert.deepEqual([...third.value.pods], [...first.value.pods]);
    assert.deepEqual(third.problems, first.problems);
  });
});
