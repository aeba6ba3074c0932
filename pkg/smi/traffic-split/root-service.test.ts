import assert from 'node:assert/strict';
import { rootServiceOf } from './root-service.ts';

function rootOf(service: string): string | undefined {
  const meta = { apiVersion: 'split.smi-spec.io/v1alpha4', namespace: 'prod', name: 'x', labels: {}, annotations: {} };
  const root = rootServiceOf({ ...meta, kind: 'TrafficSplit', service, backends: [] });
  return 'name' in root ? root.name : undefined;
}

describe('rootServiceOf', () => {
  it('reads every spelling of a Service of its own namespace', () => {
    for (const spelling of [
      'cart',
      'cart.prod',
      'cart.prod.svc',
      'cart.prod.svc.cluster',
      'cart.prod.svc.cluster.local',
    ]) {
      assert.equal(rootOf(spelling), 'cart');
      assert.equal(rootOf(`${spelling}.`), 'cart');
    }
    assert.equal(rootOf('cart.prod.svc.corp.example'), 'cart');
  });

  it('refuses other namespaces and other names', () => {
    for (const spelling of [
      'cart.dev',
      'cart.dev.svc.cluster.local',
      'shop.example.com',
      'cart.prod.pod',
      '.',
      '',
      'cart..svc',
      'Cart',
      'a b',
    ]) {
      assert.equal(rootOf(spelling), undefined, spelling);
    }
  });
});
