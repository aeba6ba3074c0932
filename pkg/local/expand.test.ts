import assert from 'node:assert/strict';
import { describe, it } from 'mocha';
import { expand } from './expand.ts';

describe('expand', () => {
  const values = new Map([
    ['A', '1'],
    ['B', '$(A)'],
  ]);

  it('replaces what is known and keeps the rest', () => {
    assert.equal(expand('x $(A) $(NONE) $A', values), 'x 1 $(NONE) $A');
  });

  it('expands once, not what came out of it', () => {
    assert.equal(expand('$(B)', values), '$(A)');
  });

  it('takes two dollars for one', () => {
    assert.equal(expand('$$(A) costs $$5', values), '$(A) costs $5');
  });
});
