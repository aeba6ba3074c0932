import assert from 'node:assert/strict';
import { describe, it } from 'mocha';
import type { Problem } from '../problem/problem.ts';
import { createKeptWorkloads, type PlacedPlan } from './kept-workloads.ts';
import type { PodPlan } from './pod-plan.ts';

const placed = (name: string, file: string): PlacedPlan => ({
  plan: {
    owner: `shop/Deployment/${name}`,
    kind: 'Deployment',
    replicas: 1,
    revision: 'r1',
    problems: [],
    pod: () => ({}) as PodPlan,
  },
  file,
});
const problem = (reason: Problem['reason'], file: string): Problem => ({
  resource: { kind: 'Document', namespace: '', name: '' },
  field: '',
  severity: 'error',
  reason,
  message: '',
  fix: '',
  position: { file, line: 1, column: 1 },
});

describe('workloads of a file that is broken', () => {
  const web = placed('web', 'web.yaml');
  const cart = placed('cart', 'cart.yaml');
  const start = (): { kept: ReturnType<typeof createKeptWorkloads>; told: string[] } => {
    const told: string[] = [];
    const kept = createKeptWorkloads((owner, file) => told.push(`${owner} ${file}`));
    kept.next([web, cart], []);
    return { kept, told };
  };

  it('go on as they are until it is whole again, and are told of once', () => {
    const { kept, told } = start();
    for (let i = 0; i < 2; i += 1) {
      const [first, second] = kept.next([cart], [problem('SyntaxError', 'web.yaml')]);
      assert.equal(first, cart.plan);
      assert.deepEqual([second?.owner, second?.pod], ['shop/Deployment/web', undefined]);
    }
    assert.deepEqual(told, ['shop/Deployment/web web.yaml']);
    assert.deepEqual(kept.next([web, cart], []), [web.plan, cart.plan]);
  });

  it('go on as they are while they themselves are broken', () => {
    const { kept } = start();
    const resource = { kind: 'Deployment', namespace: 'shop', name: 'web' };
    const plans = kept.next([cart], [{ ...problem('FieldMissing', 'web.yaml'), resource }]);
    assert.deepEqual(
      plans.map(({ owner }) => owner),
      ['shop/Deployment/cart', 'shop/Deployment/web'],
    );
  });

  it('end when the file, whole, has them no more', () => {
    const { kept } = start();
    kept.next([cart], [problem('SyntaxError', 'web.yaml')]);
    assert.deepEqual(kept.next([cart], []), [cart.plan]);
  });

  it('end when they are gone and the fault is another', () => {
    const { kept } = start();
    const others = [problem('SyntaxError', 'cart.yaml'), problem('RouteNotFound', 'web.yaml')];
    assert.deepEqual(kept.next([cart], others), [cart.plan]);
  });
});
