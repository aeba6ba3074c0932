import assert from 'node:assert/strict';
import type { MeshConfig } from '../../catalog/snapshot.ts';
import { ClusterError } from './cluster-error.ts';
import { type FakeApiServer, type FakeObject, sendStatus, startFakeApiServer } from './fake-api-server.fixture.ts';
import { formatMissing, readCluster } from './read-cluster.ts';

const config: MeshConfig = {
  mode: 'permissive',
  modeFrom: 'chart value mode',
  pathMatch: 'full',
  trustDomain: 'cluster.local',
  egress: 'deny',
  tracing: { sampling: 1 },
};

describe('readCluster', () => {
  let server: FakeApiServer;

  beforeEach(async () => {
    server = await startFakeApiServer();
    server.install('', ['v1'], 'Namespace', 'namespaces');
    server.install('', ['v1'], 'Service', 'services');
    server.install('', ['v1'], 'Pod', 'pods');
    server.install('discovery.k8s.io', ['v1'], 'EndpointSlice', 'endpointslices');
    server.install('split.smi-spec.io', ['v1alpha4'], 'TrafficSplit', 'trafficsplits');
    server.install('config.openservicemesh.io', ['v1alpha2'], 'MeshConfig', 'meshconfigs');
    for (const name of ['shop', 'bank']) {
      const labels = { 'openservicemesh.io/monitored-by': 'osm' };
      server.apply('namespaces', { apiVersion: 'v1', kind: 'Namespace', metadata: { name, labels } });
      server.apply('services', object('Service', 'cart', name));
      server.apply('trafficsplits', object('TrafficSplit', 'cart', name));
    }
    server.apply('namespaces', { apiVersion: 'v1', kind: 'Namespace', metadata: { name: 'plain' } });
    server.apply('services', object('Service', 'cart', 'plain'));
    const traffic = { enablePermissiveTrafficPolicyMode: false };
    server.apply('meshconfigs', { ...object('MeshConfig', 'osm-mesh-config', 'tulle-system'), spec: { traffic } });
  });

  afterEach(() => server.close());

  function object(kind: string, name: string, namespace: string): FakeObject {
    return { apiVersion: 'v1', kind, metadata: { name, namespace }, spec: {} };
  }

  const read = (namespaces?: readonly string[]): ReturnType<typeof readCluster> =>
    readCluster(server.cluster, {
      meshName: 'osm',
      controlNamespace: 'tulle-system',
      config,
      ...(namespaces && { namespaces }),
    });

  function forbid(...paths: readonly string[]): void {
    for (const path of paths) {
      server.interpose(path, (_, response) => sendStatus(response, 403, 'Forbidden', `${path} is forbidden`), 99);
    }
  }

  const namesOf = (list: readonly { readonly namespace: string; readonly name: string }[]): string[] =>
    list.map(({ namespace, name }) => `${namespace}/${name}`).sort();

  it('reads the meshed namespaces, and what the MeshConfig says', async () => {
    const { snapshot, missing, objects } = await read();
    assert.deepEqual(namesOf(snapshot.services), ['bank/cart', 'shop/cart']);
    assert.deepEqual(namesOf(snapshot.smi.map(({ metadata }) => metadata)), ['bank/cart', 'shop/cart']);
    assert.equal(snapshot.config.mode, 'enforce');
    assert.deepEqual(missing, []);
    assert.equal(objects, 9);
  });

  it('reads the namespaces that were asked for when it may not read all, and says what is missing', async () => {
    forbid('/api/v1/namespaces', '/api/v1/services', '/api/v1/pods', '/apis/discovery.k8s.io/v1/endpointslices');
    forbid('/apis/split.smi-spec.io/v1alpha4/trafficsplits');
    forbid('/apis/config.openservicemesh.io/v1alpha2/namespaces/tulle-system/meshconfigs');
    const { snapshot, missing } = await read(['shop']);
    assert.deepEqual(namesOf(snapshot.services), ['shop/cart']);
    assert.equal(snapshot.config.mode, 'permissive');
    assert.deepEqual(missing.map(formatMissing).sort(), [
      'may not list endpointslices.discovery.k8s.io of the whole cluster (kubectl auth can-i list endpointslices.discovery.k8s.io -A)',
      'may not list meshconfigs.config.openservicemesh.io in tulle-system (kubectl auth can-i list meshconfigs.config.openservicemesh.io -n tulle-system)',
      'may not list namespaces of the whole cluster (kubectl auth can-i list namespaces -A)',
      'may not list pods of the whole cluster (kubectl auth can-i list pods -A)',
      'may not list services of the whole cluster (kubectl auth can-i list services -A)',
      'may not list trafficsplits.split.smi-spec.io of the whole cluster (kubectl auth can-i list trafficsplits.split.smi-spec.io -A)',
    ]);
  });

  it('takes a namespace that it may not look at for meshed', async () => {
    forbid('/api/v1/namespaces', '/api/v1/namespaces/shop', '/api/v1/services');
    const { snapshot } = await read(['shop']);
    assert.deepEqual(snapshot.namespaces, [{ name: 'shop', meshed: true }]);
    assert.deepEqual(namesOf(snapshot.services), ['shop/cart']);
  });

  it('refuses to answer from nothing', async () => {
    forbid('/api/v1/pods', '/api/v1/namespaces/shop/pods');
    await assert.rejects(read(['shop']), (error) => {
      assert.ok(error instanceof ClusterError);
      assert.equal(error.status, 403);
      assert.match(error.message, /may not list pods in shop/);
      return true;
    });
  });

  it('reads a cluster in which nothing of SMI is installed', async () => {
    server.uninstall('split.smi-spec.io', 'trafficsplits');
    server.uninstall('config.openservicemesh.io', 'meshconfigs');
    const { snapshot } = await read();
    assert.deepEqual(snapshot.smi, []);
    assert.equal(snapshot.config.mode, 'permissive');
  });
});
