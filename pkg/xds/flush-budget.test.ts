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

  describe('with clients that never read', () => {
    let now: number;
    const setUpQueue = () => {
      now = 0;
      const timers: (() => void)[] = [];
      const setTimer = (run: () => void) => {
        timers.push(run);
        return () => undefined;
      };
      const queue = { bytes: 4 * big, stuck: 5_000 };
      const budget = createFlushBudget({ bytes: 100 * big, patience: 1, queue, now: () => now, setTimer });
      return { budget, timers };
    };

    it('counts what they were written however long it waits, what is small included', () => {
      const { budget, timers } = setUpQueue();
      const left = budget.spend(big);
      budget.spend(1000);
      for (const run of timers.splice(0)) run();
      assert.equal(budget.queued, big + 1000);
      left();
      left();
      assert.equal(budget.queued, 1000);
    });

    it('gives up those that are stuck, the longest first, beyond half of what may wait', () => {
      const { budget } = setUpQueue();
      const evicted: string[] = [];
      const write = (name: string): (() => void) => budget.spend(big, () => evicted.push(name));
      write('a');
      now = 1000;
      write('b');
      now = 5_500;
      write('c');
      assert.deepEqual(evicted, ['a']);
      now = 5_600;
      write('d');
      assert.deepEqual(evicted, ['a'], 'b is not stuck yet');
      now = 6_000;
      write('e');
      assert.deepEqual(evicted, ['a', 'b']);
      assert.equal(budget.queued, 3 * big);
    });

    it('lets nobody write when all of it is full, until somebody reads or is given up', () => {
      const { budget, timers } = setUpQueue();
      let woken = 0;
      const evicted: number[] = [];
      const left = [0, 1, 2, 3].map((i) => budget.spend(big, () => evicted.push(i)));
      const retry = (): void => void (woken += 1);
      assert.equal(budget.admit(retry), false);
      left[0]?.();
      assert.equal(woken, 1);
      budget.spend(big);
      assert.equal(budget.admit(retry), false);
      now = 5_000;
      for (const run of timers.splice(0)) run();
      assert.deepEqual(evicted, [1, 2]);
      assert.equal(woken, 2);
    });
  });
});
