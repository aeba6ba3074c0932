import assert from 'node:assert/strict';
import { namespace, pod, port, service, slice, snapshotOf } from '../../test/support/snapshot.ts';
import { buildMesh, createMeshBuilder } from './build-mesh.ts';
import type { MeshModel } from './mesh-model.ts';
import type { MeshSnapshot, Service } from './snapshot.ts';

/** What a client without a pod sees behind Service `lure/web`. */
function addressesOf(model: MeshModel): readonly string[] {
  const { reach } = model.policyOf('spiffe://cluster.local/ns/bank/sa/teller' as never);
  const found = [...reach.endpoints].filter(([key]) => key.startsWith('lure/web:'));
  return [...new Set(found.flatMap(([, { endpoints }]) => endpoints.map(({ ip }) => ip ?? '')))];
}

function namedIn(model: MeshModel): readonly string[] {
  const { directory } = model.policyOf('spiffe://cluster.local/ns/bank/sa/teller' as never);
  return (directory.get('lure/web:80')?.pods ?? []).map(({ ip }) => ip);
}

const lure: Service = {
  namespace: 'lure',
  name: 'web',
  clusterIPs: [],
  headless: true,
  ports: [port(80, 80), port(81, 81)],
  publishNotReadyAddresses: false,
};
const vault = service('bank', 'vault', { clusterIPs: ['10.96.0.7', 'fd00::7'] });
const ports = [
  { name: 'http-80', port: 80 },
  { name: 'http-81', port: 81 },
];

function meshWith(addresses: readonly string[], more: Partial<MeshSnapshot> = {}): MeshSnapshot {
  return snapshotOf({
    config: { ...snapshotOf({}).config, mode: 'permissive' },
    namespaces: [namespace('bank'), namespace('lure')],
    services: [vault, lure],
    pods: [
      pod('bank', 'vault', { ip: '10.244.0.7' }),
      pod('bank', 'agent', { ip: '10.245.0.1', hostNetwork: true, meshed: false }),
      pod('lure', 'own', { ip: '10.244.0.8' }),
    ],
    endpointSlices: [slice(lure, [{ addresses, ready: true }], ports)],
    ...more,
  });
}

describe('addresses that somebody wrote into an EndpointSlice', () => {
  for (const [what, address, said] of [
    ['the address of another namespace’s Service', '10.96.0.7', /10\.96\.0\.7 is that of Service bank\/vault/],
    ['the same in another spelling', '::ffff:10.96.0.07', /is that of Service bank\/vault/],
    ['its IPv6 address, spelt out', 'fd00:0:0:0:0:0:0:7', /is that of Service bank\/vault/],
    ['the address of another namespace’s pod', '10.244.0.7', /10\.244\.0\.7 is that of a pod in namespace "bank"/],
  ] as const) {
    it(`lead nobody to ${what}, and that is told once`, () => {
      const { value, problems } = buildMesh(meshWith([address]));
      assert.deepEqual([addressesOf(value), namedIn(value)], [[], []]);
      const found = problems.filter(({ reason }) => reason === 'EndpointForeign');
      assert.deepEqual(
        found.map(({ resource, severity }) => [resource.kind, resource.namespace, resource.name, severity]),
        [['Service', 'lure', 'web', 'error']],
      );
      assert.match(found[0]?.message ?? '', said);
    });
  }

  it('are not looked at where a pod of that name is there: its own address counts', () => {
    const named = [{ addresses: ['10.244.0.7'], ready: true, pod: 'own' }];
    const { value, problems } = buildMesh(meshWith([], { endpointSlices: [slice(lure, named, ports)] }));
    assert.deepEqual(addressesOf(value), ['10.244.0.8']);
    assert.ok(problems.every(({ reason }) => reason !== 'EndpointForeign'));
  });

  it('lead to a program of the same machine, where pods have no addresses of their own', () => {
    const pods = [pod('bank', 'vault', { ip: '127.0.0.1' })];
    assert.deepEqual(addressesOf(buildMesh(meshWith(['127.0.0.1'], { pods })).value), ['127.0.0.1']);
  });

  it('lead to pods of their own namespace, to nodes, and to what is outside of the cluster', () => {
    for (const address of ['10.244.0.8', '10.245.0.1', '192.0.2.1']) {
      const { value, problems } = buildMesh(meshWith([address]));
      assert.deepEqual([addressesOf(value), namedIn(value)], [[address], [address]]);
      assert.deepEqual(
        problems.filter(({ reason }) => reason === 'EndpointForeign'),
        [],
      );
    }
  });

  it('lead nobody to a Service or pod that comes later, and to what it was once it is gone', () => {
    const builder = createMeshBuilder();
    const bare = meshWith(['10.96.0.7', '10.244.0.7', '192.0.2.1'], { services: [lure], pods: [] });
    const both = ['10.244.0.7', '10.96.0.7'];
    const steps: readonly (readonly [Partial<MeshSnapshot>, readonly string[]])[] = [
      [{}, [...both, '192.0.2.1']],
      [{ services: [vault, lure] }, ['10.244.0.7', '192.0.2.1']],
      [{ services: [vault, lure], pods: [pod('bank', 'vault', { ip: '10.244.0.7' })] }, ['192.0.2.1']],
      [{ pods: [pod('bank', 'vault', { ip: '10.244.0.7' })] }, ['10.96.0.7', '192.0.2.1']],
      [{ pods: [pod('bank', 'vault', { ip: '10.244.0.9' })] }, [...both, '192.0.2.1']],
    ];
    for (const [change, expected] of steps) {
      const { value } = builder.build({ ...bare, ...change });
      assert.deepEqual([...addressesOf(value)].sort(), expected);
    }
  });

  it('leave what stands behind a Service the same object while other Services come', () => {
    const builder = createMeshBuilder();
    const before = builder.build(meshWith(['192.0.2.1'])).value;
    const other = service('bank', 'other', { clusterIPs: ['10.96.0.8'] });
    const after = builder.build(meshWith(['192.0.2.1'], { services: [vault, lure, other] })).value;
    const setOf = (model: MeshModel) =>
      model.policyOf('spiffe://cluster.local/ns/bank/sa/teller' as never).reach.endpoints.get('lure/web:80');
    assert.ok(setOf(before));
    assert.equal(setOf(after), setOf(before));
  });
});
