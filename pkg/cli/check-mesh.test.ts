import assert from 'node:assert/strict';
import { type InstalledCluster, startInstalledCluster } from './check.fixture.ts';
import type { FakeObject } from './fake-cluster.fixture.ts';

const inMesh = { 'openservicemesh.io/monitored-by': 'osm' };

describe('what tulle check says of namespaces', function () {
  this.timeout(60_000);
  let mesh: InstalledCluster;
  beforeEach(async () => {
    mesh = await startInstalledCluster();
  });
  afterEach(() => mesh.close());

  const put = (path: string, object: object): void => void mesh.cluster.objects.set(path, object as FakeObject);
  const namespace = (
    name: string,
    annotations: Record<string, string>,
    labels: Record<string, string> = inMesh,
  ): void => put(`/api/v1/namespaces/${name}`, { metadata: { name, labels, annotations } });
  const pod = (place: string, name: string): void =>
    put(`/api/v1/namespaces/${place}/pods/${name}`, {
      metadata: { name, namespace: place, annotations: { 'tulle.dev/injected': '0.1.0' } },
      spec: { containers: [{ name: 'app' }, { name: 'envoy' }] },
      status: { phase: 'Running', conditions: [{ type: 'Ready', status: 'True' }] },
    });

  describe('of modes', () => {
    it('is wrong where a namespace names none, which enforces, and how to write it', async () => {
      namespace('shop', { 'tulle.dev/mode': 'strict' });
      const [found, ...others] = await mesh.find('namespaces');
      assert.deepEqual([found?.name, found?.status, others], ['shop', 'error', []]);
      assert.equal(found?.detail, 'enforce, since "strict" is no mode');
      assert.equal(
        found?.hint,
        'kubectl annotate namespace shop --overwrite tulle.dev/mode=enforce, or permissive or shadow',
      );
      assert.equal((await mesh.check()).exitCode, 1);
    });

    it('names the label where that says it', async () => {
      namespace('shop', {}, { ...inMesh, 'tulle.dev/mode': 'Enforce' });
      const [found] = await mesh.find('namespaces');
      assert.match(found?.hint ?? '', /^kubectl label namespace shop --overwrite tulle\.dev\/mode=enforce/);
    });

    it('is wrong where the MeshConfig names none', async () => {
      const resource = { kind: 'MeshConfig', namespace: 'tulle-system', name: 'osm-mesh-config' };
      const [message, fix] = ['there is no mode "shaddow", so enforce is taken', 'write permissive, shadow or enforce'];
      const field = '/metadata/annotations/tulle.dev~1mode';
      mesh.report = {
        mode: 'enforce',
        modeFrom: 'MeshConfig osm-mesh-config',
        problems: [{ resource, field, severity: 'error', reason: 'FieldInvalid', message, fix }],
      };
      const found = (await mesh.find('control plane')).find(({ name }) => name === 'mode');
      assert.deepEqual(
        [found?.status, found?.detail, found?.hint],
        ['error', `enforce, by MeshConfig osm-mesh-config: ${message}`, fix],
      );
      assert.deepEqual(
        (await mesh.find('policy')).map(({ status }) => status),
        ['ok'],
        'told once',
      );
    });
  });
});
