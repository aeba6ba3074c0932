import assert from 'node:assert/strict';
import { describe, it } from 'mocha';
import { createHoldings } from './holdings.ts';

describe('createHoldings', () => {
  it('closes all once, the last first, and at once what comes too late', () => {
    const closed: string[] = [];
    const held = createHoldings();
    held.add(() => closed.push('first'));
    held.add(() => closed.push('second'));
    held.release();
    held.release();
    held.add(() => closed.push('late'));
    assert.deepEqual(closed, ['second', 'first', 'late']);
  });
});
