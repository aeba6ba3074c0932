import assert from 'node:assert/strict';
import { createStreamIndex } from './stream-index.ts';

describe('the index of streams', () => {
  it('finds the streams of pods, and those whose pod is not known', () => {
    const index = createStreamIndex<string>();
    for (const stream of ['a', 'b', 'c', 'new']) index.add(stream);
    index.assign('a', 'n/one');
    index.assign('b', 'n/one');
    index.assign('c', 'n/two');
    index.assign('new', undefined);
    assert.deepEqual([...index.of(new Set(['n/one', 'n/three']))], ['a', 'b', 'new']);
    assert.deepEqual([...index.of(new Set())], ['new']);
    assert.deepEqual([...index.all()], ['a', 'b', 'c', 'new']);
    index.delete('a');
    index.delete('new');
    assert.deepEqual([...index.of(new Set(['n/one']))], ['b']);
    assert.deepEqual([...index.all()], ['b', 'c']);
  });

  it('does not take back what has ended', () => {
    const index = createStreamIndex<string>();
    index.add('a');
    index.delete('a');
    index.assign('a', 'n/one');
    assert.deepEqual([...index.of(new Set(['n/one']))], []);
  });
});
