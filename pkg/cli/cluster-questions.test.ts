import assert from 'node:assert/strict';
import { failure } from './fake-cluster.fixture.ts';
import {
  enforcedShop,
  recordedCall,
  shopObjects,
  type ShopCluster,
  shopTrace,
  startShopCluster,
} from './shop-cluster.fixture.ts';

describe('the questions about policy, put to a cluster', function () {
  this.timeout(30_000);
  let shop: ShopCluster;
  beforeEach(async () => {
    shop = await startShopCluster();
  });
  afterEach(() => shop.close());

  it('explain goes by the pods that run, and says where the mode comes from', async () => {
    const { exitCode, out } = await shop.tulle('explain', 'shop/bad', 'web.shop', 'GET', '/books');
    assert.equal(exitCode, 0);
    assert.match(out, /mode permissive \(chart value mode\) lets everything pass; enforced, it would be refused/);
    assert.match(out, /nearest miss: source shop\/bad: only shop\/good/);
  });

  it('explain -f answers as if the files were applied', async () => {
    shop.write('new.yaml', enforcedShop);
    const { exitCode, out } = await shop.tulle(
      'explain',
      'shop/bad',
      'web.shop',
      'GET',
      '/books',
      '-f',
      'new.yaml',
      '--expect',
      'deny',
    );
    assert.equal(exitCode, 0, out);
    assert.match(out, /^DENIED {2}SourceNotAllowed$/m);
  });

  it('explain --mode stands above what the cluster says', async () => {
    const { out } = await shop.tulle('explain', 'shop/bad', 'web.shop', 'GET', '/books', '--mode', 'enforce');
    assert.match(out, /^DENIED {2}SourceNotAllowed$/m);
  });

  it('explain --trace explains what sidecars recorded', async () => {
    const { exitCode, out } = await shop.tulle('explain', '--trace', shopTrace);
    assert.equal(exitCode, 0);
    assert.match(out, /^shop\/good -> shop\/web:80 GET \/books/m);
    assert.match(out, /recorded at 00:00:00: allowed/);
  });

  it('analyze finds what is wrong in the cluster', async () => {
    shop.cluster.objects.set('/apis/access.smi-spec.io/v1alpha3/namespaces/shop/traffictargets/broken', {
      apiVersion: 'access.smi-spec.io/v1alpha3',
      kind: 'TrafficTarget',
      metadata: { name: 'broken', namespace: 'shop' },
      spec: {
        destination: { kind: 'ServiceAccount', name: 'web' },
        rules: [{ kind: 'HTTPRouteGroup', name: 'gone' }],
        sources: [],
      },
    });
    const { exitCode, out } = await shop.tulle('analyze');
    assert.equal(exitCode, 1);
    assert.match(out, /^error: TrafficTarget shop\/broken: .*gone/m);
  });

  it('analyze of files reports what is in them and what they would break, not what was there', async () => {
    shop.cluster.objects.set('/apis/access.smi-spec.io/v1alpha3/namespaces/shop/traffictargets/broken', {
      apiVersion: 'access.smi-spec.io/v1alpha3',
      kind: 'TrafficTarget',
      metadata: { name: 'broken', namespace: 'shop' },
      spec: {
        destination: { kind: 'ServiceAccount', name: 'web' },
        rules: [{ kind: 'HTTPRouteGroup', name: 'gone' }],
        sources: [],
      },
    });
    shop.write('new.yaml', enforcedShop, {
      apiVersion: 'split.smi-spec.io/v1alpha2',
      kind: 'TrafficSplit',
      metadata: { name: 's', namespace: 'shop' },
      spec: { service: 'web', backends: [{ service: 'web-v2', weight: 1 }] },
    });
    const { exitCode, out } = await shop.tulle('analyze', 'new.yaml');
    assert.equal(exitCode, 1);
    assert.match(out, /^new\.yaml:\d+:\d+: (error|warning): TrafficSplit shop\/s: .*web-v2/m);
    assert.doesNotMatch(out, /broken/);
  });

  it('diff of one path says what applying it would change', async () => {
    shop.write('new.yaml', {
      ...shopObjects['/apis/access.smi-spec.io/v1alpha3/namespaces/shop/traffictargets/good-to-web'],
      spec: {
        destination: { kind: 'ServiceAccount', name: 'web', namespace: 'shop' },
        rules: [{ kind: 'HTTPRouteGroup', name: 'r' }],
        sources: [{ kind: 'ServiceAccount', name: 'bad', namespace: 'shop' }],
      },
    });
    const { exitCode, out } = await shop.tulle('diff', 'new.yaml', '--mode', 'enforce');
    assert.equal(exitCode, 1);
    assert.match(out, /^\+ gained +shop\/bad +-> +shop\/web:80 +GET \/books$/m);
    assert.match(out, /^- lost +shop\/good/m);
  });

  it('test holds cases against the cluster', async () => {
    shop.write('cases.yaml', [{ from: 'shop/bad', to: 'web.shop', path: '/books', expect: 'deny' }]);
    assert.equal((await shop.tulle('test', 'cases.yaml', '--mode', 'enforce')).exitCode, 0);
    assert.equal((await shop.tulle('test', 'cases.yaml')).exitCode, 1);
  });

  it('whatif replays the recorded calls against files laid over the cluster', async () => {
    shop.write('new.yaml', enforcedShop);
    const { exitCode, out } = await shop.tulle('whatif', '-f', 'new.yaml');
    assert.equal(exitCode, 1);
    assert.match(out, /newly denied: 1 call\n/);
    assert.match(out, /shop\/bad \(ReplicaSet bad-abc\) +-> +shop\/web:80/);
  });

  it('suggest writes what lets pass what would be refused', async () => {
    shop.answers['/api/requests'] = [
      { ...recordedCall('bad', 2), verdict: 'denied', status: 403, reason: 'SourceNotAllowed' },
    ];
    const { exitCode, out, err } = await shop.tulle('suggest', '-n', 'shop');
    assert.equal(exitCode, 0, err);
    assert.match(out, /kind: TrafficTarget/);
    assert.match(err, /replayed: allows this 1 request, nothing else/);
  });

  describe('rights', () => {
    it('what may not be read of the whole cluster is read of the namespaces that -n names, and told', async () => {
      shop.cluster.intercept = (_, path) =>
        path === '/api/v1/pods' || path === '/api/v1/namespaces'
          ? failure(403, 'Forbidden', 'User "jane" cannot list resource "pods" in API group "" at the cluster scope')
          : undefined;
      const { exitCode, out, err } = await shop.tulle('explain', 'shop/bad', 'web.shop', 'GET', '/books', '-n', 'shop');
      assert.equal(exitCode, 0, err);
      assert.match(out, /nearest miss/);
      assert.equal(
        err,
        'tulle: you may not read the whole cluster, so only namespace shop was looked at (-n says which)\n',
      );
    });

    it('without the ConfigMap of the control plane it says what it takes for granted', async () => {
      shop.cluster.intercept = (_, path) =>
        path.includes('/configmaps/') ? failure(403, 'Forbidden', 'no') : undefined;
      const { exitCode, err } = await shop.tulle('explain', 'shop/bad', 'web.shop', 'GET', '/books');
      assert.equal(exitCode, 0);
      assert.match(err, /you may not read ConfigMap tulle-controller in tulle-system: mode permissive, .* are assumed/);
    });

    it('a refused port forwarding says so', async () => {
      shop.cluster.intercept = (method) => (method === 'UPGRADE' ? failure(403, 'Forbidden', 'no') : undefined);
      const { exitCode, err } = await shop.tulle('proxy', 'status');
      assert.equal(exitCode, 2);
      assert.match(err, /may not create pods\/portforward in namespace tulle-system; this gives the right:/);
      assert.match(err, /kubectl create rolebinding -n tulle-system tulle-user --clusterrole=edit/);
    });
  });
});
