import assert from 'node:assert/strict';
import { controllerName, toLeafNames } from './workload-names.ts';

const dnsNamesOf = (namespace: string, account: string, domain = 'cluster.local'): readonly string[] =>
  toLeafNames(`spiffe://${domain}/ns/${namespace}/sa/${account}`).dnsNames;

describe('the names of a certificate', () => {
  it('are the SPIFFE ID of a workload, and its DNS name', () => {
    const owner = 'spiffe://cluster.local/ns/shop/sa/cart';
    assert.deepEqual(toLeafNames(owner), { uris: [owner], dnsNames: ['cart.shop.cluster.local'] });
  });

  it('are never the DNS name of a Service, whatever an account and its namespace are called', () => {
    assert.deepEqual(dnsNamesOf('svc', 'bank.pay'), [], 'bank.pay.svc.cluster.local is Service bank of namespace pay');
    assert.deepEqual(dnsNamesOf('svc', 'pay'), []);
    assert.deepEqual(dnsNamesOf('shop', 'a.b'), []);
    assert.deepEqual(dnsNamesOf('pay', 'bank', 'svc.cluster.local'), []);
    assert.deepEqual(dnsNamesOf('pay', 'bank', 'svc'), []);
    const { uris } = toLeafNames('spiffe://cluster.local/ns/svc/sa/bank.pay');
    assert.deepEqual(uris, ['spiffe://cluster.local/ns/svc/sa/bank.pay']);
  });

  it('of the control plane are its fixed one and those of its Service', () => {
    assert.deepEqual(toLeafNames(controllerName, ['c.tulle-system.svc']), {
      uris: [],
      dnsNames: [controllerName, 'c.tulle-system.svc'],
    });
    assert.throws(() => toLeafNames('shop/cart'), /not the identity of a workload/);
  });
});
