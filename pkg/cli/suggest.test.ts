import assert from 'node:assert/strict';
import type { Call } from '../observability/call.ts';
import { recordedCall, type ShopCluster, startShopCluster } from './shop-cluster.fixture.ts';

describe('what tulle suggest says of its policy', function () {
  this.timeout(30_000);
  let shop: ShopCluster;
  beforeEach(async () => {
    shop = await startShopCluster();
  });
  afterEach(() => shop.close());

  function refused(source: string, count: number): readonly Call[] {
    return Array.from({ length: count }, (_, index) => ({
      ...recordedCall(source, index + 1),
      ...{
        spanId: String(index).padStart(16, '0'),
        verdict: 'denied' as const,
        status: 403,
        reason: 'SourceNotAllowed',
      },
    }));
  }
  async function said(calls: readonly Call[]): Promise<string> {
    shop.answers['/api/requests'] = calls;
    return (await shop.tulle('suggest', '-n', 'shop')).err;
  }

  it('counts the requests that it allows, be it one', async () => {
    assert.match(await said(refused('bad', 1)), /^# replayed: allows this 1 request, nothing else that was seen$/m);
    assert.match(await said(refused('bad', 2)), /^# replayed: allows these 2 requests, nothing else that was seen$/m);
  });

  it('counts the calls that pass by now, be it one', async () => {
    assert.match(await said(refused('good', 1)), /: 1 call was refused, and it passes by now$/m);
    assert.match(await said(refused('good', 2)), /: 2 calls were refused, and they pass by now$/m);
  });
});
