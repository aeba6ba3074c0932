import assert from 'node:assert/strict';
import { describe, it } from 'mocha';
import { toWords } from './words.ts';

describe('toWords', () => {
  it('reads JSON arrays and words with quotes', () => {
    assert.deepEqual(toWords('["node", "a b.mjs"]'), ['node', 'a b.mjs']);
    assert.deepEqual(toWords(`node  "a b.mjs" 'c d' --x=1`), ['node', 'a b.mjs', 'c d', '--x=1']);
  });

  it('leaves to nobody what a shell would do', () => {
    assert.deepEqual(toWords('echo $HOME; rm -rf *'), ['echo', '$HOME;', 'rm', '-rf', '*']);
    assert.deepEqual(toWords('[not json'), ['[not', 'json']);
    assert.deepEqual(toWords(' '), []);
  });
});
