import assert from 'node:assert/strict';
import { mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { type FakeCluster, type FakeObject, failure, startFakeCluster } from './fake-cluster.fixture.ts';
import { type Ran, runTulle } from './run-tulle.fixture.ts';

function namespace(
  name: string,
  labels: Record<string, string> = {},
  annotations: Record<string, string> = {},
): FakeObject {
  return { apiVersion: 'v1', kind: 'Namespace', metadata: { name, labels, annotations } };
}

function pod(name: string, injected: boolean): FakeObject {
  return {
    metadata: { name, namespace: 'shop', ...(injected && { annotations: { 'tulle.dev/injected': '0.1.0' } }) },
    spec: { containers: [{ name: 'app' }, ...(injected ? [{ name: 'envoy' }] : [])] },
    status: { phase: 'Running' },
  };
}

describe('tulle namespace', function () {
  this.timeout(30_000);
  let cwd = '';
  let cluster: FakeCluster;

  beforeEach(async () => {
    cwd = mkdtempSync(join(tmpdir(), 't-'));
    cluster = await startFakeCluster({
      '/api/v1/namespaces/shop': namespace('shop'),
      '/api/v1/namespaces/other': namespace('other', { 'openservicemesh.io/monitored-by': 'theirs' }),
      '/api/v1/namespaces/quiet': namespace('quiet', { 'openservicemesh.io/ignore': 'true' }),
      '/api/v1/namespaces/kube-system': namespace('kube-system'),
      '/api/v1/namespaces/shop/pods/cart': pod('cart', false),
    });
    writeFileSync(join(cwd, 'config'), cluster.kubeconfig());
  });
  afterEach(async () => {
    await cluster.close();
    rmSync(cwd, { recursive: true });
  });

  const tulle = (...argv: readonly string[]): Promise<Ran> =>
    runTulle({ cwd }, ...argv, '--kubeconfig', join(cwd, 'config'));
  const metadataOf = (name: string): FakeObject['metadata'] | undefined =>
    cluster.objects.get(`/api/v1/namespaces/${name}`)?.metadata;

  it("adds by OSM's label and annotation, and says what to restart", async () => {
    const { exitCode, out } = await tulle('namespace', 'add', 'shop');
    assert.equal(exitCode, 0);
    assert.deepEqual(metadataOf('shop')?.labels, { 'openservicemesh.io/monitored-by': 'osm' });
    assert.deepEqual(metadataOf('shop')?.annotations, { 'openservicemesh.io/sidecar-injection': 'enabled' });
    assert.match(out, /^ {2}kubectl rollout restart deployment,statefulset,daemonset -n shop$/m);
  });

  it('writes nothing when it is so already, and wants no restart when every pod has its sidecar', async () => {
    await tulle('namespace', 'add', 'shop');
    cluster.objects.set('/api/v1/namespaces/shop/pods/cart', pod('cart', true));
    cluster.requests.length = 0;
    const { out } = await tulle('namespace', 'add', 'shop');
    assert.equal(out, 'shop: in mesh osm (as before)\n');
    assert.deepEqual(
      cluster.requests.filter(({ method }) => method !== 'GET'),
      [],
    );
  });

  it('sends a merge patch with its own keys and nothing else', async () => {
    await tulle('namespace', 'add', 'shop', '--disable-sidecar-injection');
    const [patch] = cluster.requests.filter(({ method }) => method === 'PATCH');
    assert.deepEqual(patch?.body, {
      metadata: {
        labels: { 'openservicemesh.io/monitored-by': 'osm' },
        annotations: { 'openservicemesh.io/sidecar-injection': 'disabled' },
      },
    });
  });

  it('keeps our own key in step where it is there, since it wins', async () => {
    cluster.objects.set(
      '/api/v1/namespaces/shop',
      namespace('shop', {}, { 'tulle.dev/sidecar-injection': 'disabled' }),
    );
    await tulle('namespace', 'add', 'shop');
    assert.equal(metadataOf('shop')?.annotations?.['tulle.dev/sidecar-injection'], 'enabled');
  });

  const refused: readonly (readonly [string, RegExp])[] = [
    ['kube-system', /kube-system can't be in a mesh/],
    ['tulle-system', /there is no namespace tulle-system/],
    ['gone', /there is no namespace gone: kubectl create namespace gone/],
    ['other', /other is in mesh theirs: tulle namespace remove other --mesh-name theirs first/],
    ['quiet', /quiet is to be ignored by the mesh: tulle namespace remove quiet/],
  ];
  for (const [name, message] of refused) {
    it(`refuses ${name} with what to do, and goes on with the rest`, async () => {
      const { exitCode, out, err } = await tulle('namespace', 'add', name, 'shop');
      assert.equal(exitCode, 2);
      assert.match(err, message);
      assert.match(out, /^shop: in mesh osm$/m);
    });
  }

  it('removes what add and ignore write, and nothing else', async () => {
    const labels = { 'openservicemesh.io/monitored-by': 'osm', 'openservicemesh.io/ignore': 'true', team: 'a' };
    const annotations = { 'openservicemesh.io/sidecar-injection': 'enabled', 'tulle.dev/mode': 'enforce' };
    cluster.objects.set('/api/v1/namespaces/shop', namespace('shop', labels, annotations));
    const { exitCode } = await tulle('namespace', 'remove', 'shop');
    assert.equal(exitCode, 0);
    assert.deepEqual(metadataOf('shop')?.labels, { team: 'a' });
    assert.deepEqual(metadataOf('shop')?.annotations, {});
  });

  it('says that a mode of its own goes too, so that it is not in force when the namespace is added again', async () => {
    const labels = { 'openservicemesh.io/monitored-by': 'osm', 'tulle.dev/mode': 'shadow' };
    cluster.objects.set('/api/v1/namespaces/shop', namespace('shop', labels, { 'tulle.dev/mode': 'enforce' }));
    const { out } = await tulle('namespace', 'remove', 'shop');
    assert.equal(out, 'shop: in no mesh, and its own mode is gone: it was enforce\n');
    assert.deepEqual([metadataOf('shop')?.labels, metadataOf('shop')?.annotations], [{}, {}]);
  });

  it('leaves a mode of its own to pods that have a sidecar: they are served until they are restarted', async () => {
    const labels = { 'openservicemesh.io/monitored-by': 'osm' };
    cluster.objects.set('/api/v1/namespaces/shop', namespace('shop', labels, { 'tulle.dev/mode': 'enforce' }));
    cluster.objects.set('/api/v1/namespaces/shop/pods/web-1', pod('web-1', true));
    const { out } = await tulle('namespace', 'remove', 'shop');
    assert.match(
      out,
      /^shop: in no mesh, and its own mode stays for the pods that run: it is enforce; remove it once more/,
    );
    assert.deepEqual(metadataOf('shop')?.annotations, { 'tulle.dev/mode': 'enforce' });
    cluster.objects.delete('/api/v1/namespaces/shop/pods/web-1');
    await tulle('namespace', 'remove', 'shop');
    assert.deepEqual(metadataOf('shop')?.annotations, {});
  });

  it('has nothing to remove of a namespace that is not there, and does not say to make it', async () => {
    const { exitCode, err } = await tulle('namespace', 'remove', 'gone');
    assert.equal(exitCode, 2);
    assert.equal(err, 'tulle: there is no namespace gone\n');
  });

  it('warns where Pod Security will refuse the pods', async () => {
    cluster.objects.set(
      '/api/v1/namespaces/shop',
      namespace('shop', { 'pod-security.kubernetes.io/enforce': 'baseline' }),
    );
    const { exitCode, err } = await tulle('namespace', 'add', 'shop');
    assert.equal(exitCode, 0);
    assert.match(
      err,
      /^tulle: warning: Pod Security "baseline" of shop refuses pods with a sidecar: kubectl label namespace shop pod-security\.kubernetes\.io\/enforce=privileged --overwrite$/m,
    );
    assert.doesNotMatch((await tulle('namespace', 'add', 'shop', '--disable-sidecar-injection')).err, /Pod Security/);
  });

  describe('of a mesh that no control plane serves', () => {
    const webhook = (name: string): void =>
      void cluster.objects.set(`/apis/admissionregistration.k8s.io/v1/mutatingwebhookconfigurations/${name}`, {
        metadata: { name },
      });

    it('adds, and warns with the meshes that there are', async () => {
      webhook('tulle-injector-osm');
      webhook('istio-sidecar-injector');
      const { exitCode, out, err } = await tulle('namespace', 'add', 'shop', '--mesh-name', 'nope');
      assert.equal(exitCode, 0);
      assert.match(out, /^shop: in mesh nope$/m);
      assert.equal(
        err,
        'tulle: warning: no control plane serves mesh nope (there is no MutatingWebhookConfiguration tulle-injector-nope), so pods get no sidecar; served here: osm\n',
      );
    });

    it('says how one is installed where there is none', async () => {
      const { err } = await tulle('namespace', 'add', 'shop');
      assert.match(err, /serves mesh osm .*, so pods get no sidecar; none is installed here: helm install/);
    });

    it('is silent where the mesh is served, or who asks may not see it', async () => {
      webhook('tulle-injector-osm');
      assert.equal((await tulle('namespace', 'add', 'shop')).err, '');
      cluster.intercept = (_, path) =>
        path.endsWith('/mutatingwebhookconfigurations') ? failure(403, 'Forbidden', 'no') : undefined;
      const { exitCode, err } = await tulle('namespace', 'add', 'shop', '--mesh-name', 'osm');
      assert.deepEqual([exitCode, err], [0, '']);
    });
  });

  it('lists who is in which mesh, how it is injected, and where its mode comes from', async () => {
    await tulle('namespace', 'add', 'shop');
    const { out } = await tulle('namespace', 'list');
    const [heading, ...rows] = out
      .trimEnd()
      .split('\n')
      .map((line) => line.split(/ {2,}/));
    assert.deepEqual(heading, ['NAMESPACE', 'MESH', 'SIDECAR-INJECTION', 'MODE']);
    assert.deepEqual(
      new Set(rows),
      new Set([
        ['shop', 'osm', 'enabled', '- (as the mesh)'],
        ['other', 'theirs', 'enabled (by the label)', '- (as the mesh)'],
        ['quiet', '-', 'disabled (ignored)', '- (as the mesh)'],
      ]),
    );
  });

  it('lists a mode that there is not as what it is: enforce', async () => {
    const labels = { 'openservicemesh.io/monitored-by': 'osm' };
    cluster.objects.set('/api/v1/namespaces/shop', namespace('shop', labels, { 'tulle.dev/mode': 'strict' }));
    assert.match((await tulle('namespace', 'list')).out, /^shop .* enforce, since "strict" is no mode$/m);
    const [listed] = JSON.parse((await tulle('namespace', 'list', '-o', 'json')).out) as [Record<string, unknown>];
    assert.deepEqual([listed['mode'], listed['unknownMode']], ['enforce', 'strict']);
  });

  it('says of which mesh it lists none', async () => {
    const { exitCode, out } = await tulle('namespace', 'list', '--mesh-name', 'nope');
    assert.deepEqual([exitCode, out], [0, 'no namespace is in mesh nope; others are in mesh theirs\n']);
    cluster.objects.delete('/api/v1/namespaces/other');
    cluster.objects.delete('/api/v1/namespaces/quiet');
    assert.equal((await tulle('namespace', 'list')).out, 'no namespace is in a mesh: tulle namespace add NAMESPACE\n');
  });

  it('is data with -o json', async () => {
    const { out } = await tulle('namespace', 'add', 'shop', 'gone', '-o', 'json');
    assert.deepEqual(JSON.parse(out), [
      {
        namespace: 'shop',
        changed: true,
        state: 'in mesh osm',
        next: 'kubectl rollout restart deployment,statefulset,daemonset -n shop',
      },
      { namespace: 'gone', error: 'there is no namespace gone: kubectl create namespace gone' },
    ]);
  });

  it('names the right that is missing, and what gives it', async () => {
    cluster.intercept = (method) =>
      method === 'PATCH'
        ? failure(
            403,
            'Forbidden',
            'namespaces "shop" is forbidden: User "jane" cannot patch resource "namespaces" in API group "" in the namespace "shop"',
          )
        : undefined;
    const { exitCode, err } = await tulle('namespace', 'add', 'shop');
    assert.equal(exitCode, 2);
    assert.match(err, /user "jane" may not patch namespaces in namespace shop; this gives the right:/);
    assert.match(err, /--verb=get,list,patch --resource=namespaces/);
    assert.match(err, /kubectl create rolebinding -n shop .*--user=jane/);
  });
});
