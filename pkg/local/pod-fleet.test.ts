import assert from 'node:assert/strict';
import { describe, it } from 'mocha';
import { inboundOf } from './pod-fleet.ts';
import type { PodPlan } from './pod-plan.ts';

describe('inboundOf', () => {
  const dir = '/run/p/web';
  const plan = (sidecar: PodPlan['sidecar']): PodPlan => ({ sidecar }) as PodPlan;

  it('is the sidecar', () => {
    assert.equal(inboundOf({ plan: plan('node'), dir, isolated: true }), 'unix:/run/p/web/in-{port}.sock');
  });

  it('is the app itself where there is no sidecar: behind its own network, or at its own address', () => {
    assert.equal(inboundOf({ plan: plan('none'), dir, isolated: true }), 'unix:/run/p/web/app-{port}.sock');
    assert.equal(inboundOf({ plan: plan('none'), dir, isolated: false }), undefined);
  });
});
