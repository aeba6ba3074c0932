import assert from 'node:assert/strict';
import { toRbacConfig } from '../envoy-config/rbac.ts';
import type { ServiceIdentity } from '../policy/identity.ts';
import { type ShopCluster, startShopCluster } from './shop-cluster.fixture.ts';

describe('namespaces and sidecars of a cluster', function () {
  this.timeout(30_000);
  let shop: ShopCluster;
  beforeEach(async () => {
    shop = await startShopCluster();
  });
  afterEach(() => shop.close());

  describe('tulle enforce', () => {
    it('lists what would be denied and changes nothing unless somebody says yes', async () => {
      const { exitCode, out } = await shop.tulle('enforce', 'shop');
      assert.equal(exitCode, 1);
      assert.match(out, /would be denied: 1 call\n/);
      assert.match(out, /nothing was changed/);
      assert.deepEqual(
        shop.cluster.requests.filter(({ method }) => method === 'PATCH'),
        [],
      );
    });

    it('asks, and takes yes for yes', async () => {
      const asked: string[] = [];
      const ask = (question: string): Promise<string> => (asked.push(question), Promise.resolve('yes'));
      const { exitCode } = await shop.tulleWith({ ask }, 'enforce', 'shop');
      assert.equal(exitCode, 0);
      assert.deepEqual(asked, ['enforce policy in shop? [y/N] ']);
      assert.equal(
        shop.cluster.objects.get('/api/v1/namespaces/shop')?.metadata.annotations?.['tulle.dev/mode'],
        'enforce',
      );
    });

    it('does it with --yes, by one annotation', async () => {
      const { exitCode, out } = await shop.tulle('enforce', 'shop', '--yes');
      assert.equal(exitCode, 0);
      assert.match(out, /shop is enforced now/);
      const [patch] = shop.cluster.requests.filter(({ method }) => method === 'PATCH');
      assert.deepEqual(patch?.body, { metadata: { annotations: { 'tulle.dev/mode': 'enforce' } } });
    });

    it('counts what shadow mode saw and no single call is kept of', async () => {
      shop.answers['/api/requests'] = [];
      shop.answers['/api/flows'] = [
        {
          source: 'shop/old',
          service: 'shop/web:80',
          destination: 'shop/web',
          verdict: 'would-deny',
          reason: 'SourceNotAllowed',
          requests: 7,
        },
      ];
      const { out } = await shop.tulle('enforce', 'shop');
      assert.match(out, /by the count of sidecars: 7 calls shop\/old -> shop\/web:80: SourceNotAllowed/);
    });

    it('refuses a namespace that is not in the mesh', async () => {
      shop.cluster.objects.set('/api/v1/namespaces/shop', { metadata: { name: 'shop' } });
      const { exitCode, err } = await shop.tulle('enforce', 'shop', '--yes');
      assert.equal(exitCode, 2);
      assert.match(err, /shop is not in mesh osm: tulle namespace add shop/);
    });
  });

  describe('tulle proxy', () => {
    it('status shows the sidecars that are connected, of one namespace with -n', async () => {
      const proxy = (name: string, synced: boolean): object => ({
        pod: name,
        identity: 'spiffe://shop.cluster.local/ns/a/sa/b',
        kind: 'envoy',
        nodeId: '',
        types: [{ typeUrl: 'type.googleapis.com/envoy.config.cluster.v3.Cluster', synced }],
      });
      shop.answers['/api/mesh'] = { proxies: [proxy('shop/web-1', true), proxy('other/x', false)] };
      const all = await shop.tulle('proxy', 'status');
      assert.equal(all.exitCode, 1);
      assert.match(all.out, /other\/x .*waits for Cluster/);
      const one = await shop.tulle('proxy', 'status', '-n', 'shop');
      assert.equal(one.exitCode, 0);
      assert.doesNotMatch(one.out, /other/);
    });

    it('config prints what the Envoy of a pod has, found by the start of its name', async () => {
      const identity = 'spiffe://shop.cluster.local/ns/shop/sa/good' as ServiceIdentity;
      const origin = { kind: 'TrafficTarget', namespace: 'shop', name: 'good-to-web' };
      const http = [{ name: 'read', origin, path: '/books', methods: ['GET'] }];
      const rules = [{ origin, sources: [identity], http }];
      const access = toRbacConfig({ identity, mode: 'enforce', modeFrom: 'namespace', ports: [], rules }, 8080);
      const weighted = {
        clusters: [
          { name: 'shop/v1', weight: 90 },
          { name: 'shop/v2', weight: 10 },
        ],
      };
      shop.answers['/config_dump'] = {
        configs: [
          {
            dynamic_route_configs: [
              {
                route_config: {
                  name: 'inbound/8080',
                  typed_per_filter_config: access,
                },
              },
              {
                route_config: {
                  name: 'outbound/shop/web:80',
                  virtual_hosts: [{ routes: [{ route: { weighted_clusters: weighted } }] }],
                },
              },
            ],
          },
        ],
      };
      const { exitCode, out } = await shop.tulle('proxy', 'config', 'web', '-n', 'shop');
      assert.equal(exitCode, 0);
      assert.deepEqual(out.trimEnd().split('\n'), [
        'shop/web-1',
        '  has no certificate yet',
        '  port 8080 (http), enforced',
        '    shop/good-to-web lets in shop/good: /books GET',
        '  may call shop/web:80 (http), shared: shop/v1 90, shop/v2 10',
      ]);
    });

    it('config names the pods that there are when it does not find one', async () => {
      const { exitCode, err } = await shop.tulle('proxy', 'config', 'cart', '-n', 'shop');
      assert.equal(exitCode, 2);
      assert.match(err, /no pod "cart" runs in namespace shop; these have a sidecar: web-1, good-1, bad-1/);
    });
  });
});
