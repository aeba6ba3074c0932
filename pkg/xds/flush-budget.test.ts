import assert from 'node:assert/strict';
import { createFlushBudget } from './flush-budget.ts';

const big = 100_000;

function setUp() {
  const timers: (() => void)[] = [];
  const setTimer = (run: () => void) => {
    timers.push(run);
    return () => undefined;
  };
  return { timers, budget: createFlushBudget({ bytes: 2 * big, patience: 1, setTimer }) };
}

describe('createFlushBudget', () => {
  it('lets nobody write beyond the bound, and calls those who wait in their order', () => {
    const { budget } = setUp();
    const woken: string[] = [];
    const first = budget.spend(big);
    const second = budget.spend(big);
    const retry = (name: string) => () => {
      woken.push(name);
      budget.spend(big);
    };
    const [a, b] = [retry('a'), retry('b')];
    assert.equal(budget.admit(a), false);
    assert.equal(budget.admit(b), false);
    assert.equal(budget.admit(a), false);

    first();
    first();
    assert.deepEqual(woken, ['a']);
    second();
    assert.deepEqual(woken, ['a', 'b']);
  });

  it('does not wait for who does not read, and does not count what is small', () => {
    const { budget, timers } = setUp();
    budget.spend(2 * big);
    assert.equal(
      budget.admit(() => undefined),
      false,
    );
    timers[0]?.();
    assert.equal(
      budget.admit(() => undefined),
      true,
    );
    for (let i = 0; i < 100; i++) budget.spend(10_000);
    assert.equal(
      budget.admit(() => undefined),
      true,
    );
  });
});
