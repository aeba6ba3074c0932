import assert from 'node:assert/strict';
import { createAllowance } from './request-allowance.ts';

describe('how often a client may ask', () => {
  it('is less often where it asks for much at once', () => {
    let time = 0;
    const limits = { requestBurst: 100, requestsPerSecond: 10 };
    const countOf = (bytes: number): number => {
      const allowance = createAllowance(limits, () => time);
      let count = 0;
      while (allowance.take(bytes)) count += 1;
      return count;
    };
    assert.deepEqual([countOf(100), countOf(40_960), countOf(4_000_000)], [100, 9, 0]);

    const allowance = createAllowance(limits, () => time);
    for (let i = 0; i < 10_000; i++) allowance.take();
    time += 1_000;
    assert.equal(allowance.take(), true);
  });

  it('is less often where short requests are answered with much', () => {
    let time = 0;
    const allowance = createAllowance({ requestBurst: 100, requestsPerSecond: 10 }, () => time);
    let count = 0;
    for (; allowance.take(); count++) allowance.charge(1_000_000);
    assert.equal(count, 7);
    // What it is sent without having asked, now and then, costs it nothing.
    time += 10_000;
    for (let i = 0; i < 100; i++) {
      allowance.charge(500_000);
      assert.equal(allowance.take(), true);
      time += 1_000;
    }
  });
});
