import assert from 'node:assert/strict';
import { createAllowance } from './request-allowance.ts';

describe('how often a client may ask', () => {
  it('is less often where it asks for much at once', () => {
    let time = 0;
    const limits = { requestBurst: 100, requestsPerSecond: 10 };
    const countOf = (bytes: number): number => {
      const allowance = createAllowance(limits, () => time);
      let count = 0;
      while (allowance(bytes)) count += 1;
      return count;
    };
    assert.deepEqual([countOf(100), countOf(40_960), countOf(4_000_000)], [100, 9, 0]);

    const allowance = createAllowance(limits, () => time);
    while (allowance()) continue;
    time += 1_000;
    assert.equal(allowance(), true);
  });
});
