import assert from 'node:assert/strict';
import { readFileSync } from 'node:fs';
import { join } from 'node:path';
import { failure } from './fake-cluster.fixture.ts';
import { type ShopCluster, startShopCluster } from './shop-cluster.fixture.ts';

describe('tulle proxy, of a cluster', function () {
  this.timeout(30_000);
  let shop: ShopCluster;
  beforeEach(async () => {
    shop = await startShopCluster();
  });
  afterEach(() => shop.close());

  describe('status', () => {
    it('shows the sidecars that are connected, of one namespace with -n', async () => {
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

    it('is 2 for a namespace that is not there', async () => {
      const { exitCode, err, out } = await shop.tulle('proxy', 'status', '-n', 'nosuch');
      assert.deepEqual([exitCode, out], [2, '']);
      assert.equal(err, 'tulle: there is no namespace nosuch\n');
    });

    it('is 0 for one without sidecars', async () => {
      const { exitCode, out } = await shop.tulle('proxy', 'status', '-n', 'shop');
      assert.deepEqual([exitCode, out], [0, 'no sidecar is connected\n']);
    });

    it('says why a sidecar never gets in sync that is not served any more', async () => {
      const behind = (pod: string): object => ({
        pod,
        kind: 'envoy',
        identity: 'a',
        types: [{ typeUrl: 'b/c.Cluster', synced: false }],
      });
      shop.answers['/api/mesh'] = {
        proxies: [behind('shop/web-1'), behind('quiet/old'), { ...behind('quiet/well'), types: [] }],
        pods: [{ pod: 'shop/web-1' }],
      };
      const { exitCode, out } = await shop.tulle('proxy', 'status');
      assert.equal(exitCode, 1);
      assert.match(out, /^shop\/web-1 .* waits for Cluster$/m);
      assert.match(
        out,
        /^quiet\/old .* waits for Cluster: it is not served, as long as its namespace is not in the mesh$/m,
      );
      assert.match(out, /^quiet\/well .* in sync$/m);
    });

    it('goes on where who asks may not read namespaces', async () => {
      shop.cluster.intercept = (_, path) =>
        path === '/api/v1/namespaces/shop' ? failure(403, 'Forbidden', 'no') : undefined;
      assert.equal((await shop.tulle('proxy', 'status', '-n', 'shop')).exitCode, 0);
    });
  });

  describe('config', () => {
    it('names the pods that there are when it does not find one', async () => {
      const { exitCode, err } = await shop.tulle('proxy', 'config', 'cart', '-n', 'shop');
      assert.equal(exitCode, 2);
      assert.match(err, /no pod "cart" runs in namespace shop; these have a sidecar: web-1, good-1, bad-1/);
    });

    it('tells what the Envoy of a pod has, and its services by the addresses that are dialled', async () => {
      shop.answers['/config_dump'] = JSON.parse(
        readFileSync(join(import.meta.dirname, 'envoy-config-dump.fixture.json'), 'utf8'),
      );
      const { exitCode, out } = await shop.tulle('proxy', 'config', 'web', '-n', 'shop');
      assert.equal(exitCode, 0);
      assert.match(out, /^shop\/web-1\n {2}is spiffe:/);
      assert.match(out, /^ {2}may call bookwarehouse\/bookwarehouse:14001 \(http\) at 10\.96\.42\.219:14001$/m);
    });

    it('is 2 for a namespace that is not there', async () => {
      const { exitCode, err } = await shop.tulle('proxy', 'config', 'web', '-n', 'nosuch');
      assert.equal(exitCode, 2);
      assert.equal(err, 'tulle: there is no namespace nosuch\n');
    });
  });
});
