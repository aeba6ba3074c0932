import assert from 'node:assert/strict';
import { describe, it } from 'mocha';
import type { PodStatus } from '../local/pod-status.ts';
import type { PodView } from './mesh-view.ts';
import { notReady } from './up.ts';

function pod(name: string, status: Pick<PodStatus, 'ready' | 'phase'>): PodView {
  return { plan: { namespace: 'shop', name, owner: `shop/Pod/${name}` }, status: status as PodStatus };
}

describe('notReady', () => {
  const ready = pod('web', { ready: true, phase: 'Running' });

  it('names what is wanted and has not been started', () => {
    assert.deepEqual(notReady(['shop/web', 'shop/cart'], [ready]), ['shop/cart']);
    assert.deepEqual(notReady(['shop/web'], []), ['shop/web']);
  });

  it('names once what has been started and is not ready, wanted or not', () => {
    const slow = [pod('cart', { ready: false, phase: 'Running' }), pod('old', { ready: false, phase: 'Pending' })];
    assert.deepEqual(notReady(['shop/cart'], slow), ['shop/cart', 'shop/old']);
  });

  it('is content with what is ready, and with what has done its work', () => {
    assert.deepEqual(notReady(['shop/web', 'shop/job'], [ready, pod('job', { ready: false, phase: 'Succeeded' })]), []);
  });
});
