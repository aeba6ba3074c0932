import assert from 'node:assert/strict';
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
});
