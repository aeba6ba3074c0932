import assert from 'node:assert/strict';
import { applyObjects, pathOf, podsOf, until } from '../support/kubernetes-objects.ts';
import { controlNamespace } from './cluster.ts';
import { describeMesh, preparing } from './mesh.ts';
import { describeResult, namespaceObject, openPeer, peerObjects, serviceObject, type Peer } from './peers.ts';

const [meshed, outside] = ['e2e-egress', 'e2e-outside'];

// Nothing leaves the machine in a test: what no Service knows is a pod’s own address, in a namespace outside of the mesh.
describeMesh('what leaves the mesh', [meshed, outside], (mesh) => {
  let [client, excluded, byPort, included]: Peer[] = [];
  let address = '';

  const setEgress = async (value: boolean | null, version = 'v1alpha2'): Promise<void> => {
    const path = pathOf(`config.openservicemesh.io/${version}`, 'MeshConfig', controlNamespace, 'osm-mesh-config');
    const spec = { traffic: { enableEgress: value } };
    await until('the MeshConfig', 10, () => mesh().api.find(path));
    await mesh().api.call('PATCH', path, { spec }, 'application/merge-patch+json');
  };

  before(() =>
    preparing(mesh(), 'egress', [meshed, outside], async () => {
      const { api } = mesh();
      await applyObjects(api, [
        namespaceObject(meshed, { mode: 'enforce' }),
        namespaceObject(outside, { mesh: '' }),
        ...peerObjects({ namespace: outside, name: 'far', listen: ['http:8080', 'first:9001'] }),
        ...peerObjects({ namespace: meshed, name: 'client' }),
      ]);
      [client] = await Promise.all([openPeer(api, meshed, 'client'), openPeer(api, outside, 'far')]);
      address = (await podsOf(api, outside, 'app=far'))[0]?.status?.podIP ?? '';
      const cidr = `${address}/32`;
      await applyObjects(api, [
        ...peerObjects({
          namespace: meshed,
          name: 'excluded',
          annotations: { 'openservicemesh.io/outbound-ip-range-exclusion-list': cidr },
        }),
        ...peerObjects({
          namespace: meshed,
          name: 'by-port',
          annotations: { 'openservicemesh.io/outbound-port-exclusion-list': '9001' },
        }),
        ...peerObjects({
          namespace: meshed,
          name: 'included',
          // Only this is intercepted: the rest of the world is not.
          annotations: { 'openservicemesh.io/outbound-ip-range-inclusion-list': '198.51.100.0/24' },
        }),
        serviceObject(meshed, 'client', [{ port: 8080, name: 'http' }]),
      ]);
      [excluded, byPort, included] = await Promise.all([
        openPeer(api, meshed, 'excluded'),
        openPeer(api, meshed, 'by-port'),
        openPeer(api, meshed, 'included'),
      ]);
    }),
  );
  after(() => setEgress(null));

  const http = (): string => `http://${address}:8080/`;
  const first = (): string => `first://${address}:9001/`;

  it('egress on: HTTP and TCP pass, a server that speaks first too', async () => {
    await setEgress(true);
    const result = await client!.callUntil(http(), ({ status }) => status === 200, 20);
    assert.equal(result.status, 200);
    const greeting = await client!.call(first());
    assert.match(greeting.body, /^greetings/, describeResult(greeting));
  });

  it('egress off, live: nothing passes', async () => {
    await setEgress(false);
    await client!.callUntil(http(), ({ status }) => status !== 200, 20);
    const greeting = await client!.call(first());
    assert.equal(greeting.status, 0, describeResult(greeting));
  });

  it('exclusion and inclusion lists of a pod leave out what they say', async () => {
    assert.equal((await excluded!.call(http())).status, 200, 'address excluded');
    assert.equal((await byPort!.call(first())).status, 200, 'port excluded');
    assert.notEqual((await byPort!.call(http())).status, 200, 'another port is not');
    assert.equal((await included!.call(http())).status, 200, 'not among what is included');
  });

  it('the older version of the MeshConfig says the same', async () => {
    await setEgress(true, 'v1alpha1');
    await client!.callUntil(http(), ({ status }) => status === 200, 20);
  });
});
