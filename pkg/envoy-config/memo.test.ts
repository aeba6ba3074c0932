import assert from 'node:assert/strict';
import fc from 'fast-check';
import { changeOf, createFlatMap } from './memo.ts';

const lists = fc.array(fc.array(fc.constantFrom('', 'a', 'bc', 'def'), { maxLength: 8 }), { maxLength: 6 });

describe('lists that are followed', () => {
  it('are split where they differ', () => {
    fc.assert(
      fc.property(lists, (rounds) => {
        let before: readonly string[] = [];
        for (const after of rounds) {
          const { start, end, gone, fresh } = changeOf(before, after);
          assert.deepEqual([...before.slice(0, start), ...gone, ...before.slice(before.length - end)], before);
          assert.deepEqual([...before.slice(0, start), ...fresh, ...before.slice(before.length - end)], after);
          before = after;
        }
      }),
    );
  });

  it('give what making all of it anew does', () => {
    fc.assert(
      fc.property(lists, (rounds) => {
        const follow = createFlatMap((word: string) => [...word]);
        for (const round of rounds) assert.deepEqual(follow(round), [...round.join('')]);
      }),
    );
  });

  it('ask only what is new, and give the same list when nothing came of it', () => {
    const asked: string[] = [];
    const follow = createFlatMap((word: string) => {
      asked.push(word);
      return [...word];
    });
    const first = follow(['a', 'bc']);
    assert.equal(follow(['a', '', 'bc']), first);
    assert.notEqual(follow(['a', 'x', 'bc']), first);
    assert.deepEqual(asked, ['a', 'bc', '', 'x']);
  });

  it('are as if they had not been called when what they ask throws', () => {
    let breaks = false;
    const follow = createFlatMap((word: string) => {
      if (breaks) throw new Error('no answer');
      return [...word];
    });
    follow(['a', 'b']);
    breaks = true;
    assert.throws(() => follow(['a', 'c', 'b']));
    breaks = false;
    assert.deepEqual(follow(['a', 'c', 'b']), ['a', 'c', 'b']);
  });
});
