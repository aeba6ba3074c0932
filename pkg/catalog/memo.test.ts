import assert from 'node:assert/strict';
import { createIntern, createMemo, createStep, keepList, keepMap, sameContent } from './memo.ts';

describe('memo', () => {
  it('computes once for the same inputs, and keeps an equal value', () => {
    const memo = createMemo<string, { n: number }>();
    let count = 0;
    const ask = (input: object, n: number): { n: number } =>
      memo.get('k', [input], () => {
        count++;
        return { n };
      });
    const [a, b] = [{}, {}];
    const first = ask(a, 1);
    assert.equal(ask(a, 2), first);
    assert.equal(count, 1);
    memo.sweep();
    assert.equal(ask(b, 1), first);
    assert.equal(count, 2);
    assert.notEqual(ask(a, 3), first);
  });

  it('forgets what a whole round did not ask for', () => {
    const memo = createMemo<string, object>();
    const make = (): object => ({});
    const inputs: unknown[] = [];
    memo.get('k', inputs, make);
    memo.sweep();
    memo.sweep();
    let computed = false;
    memo.get('k', inputs, (previous) => {
      computed = true;
      assert.equal(previous, undefined);
      return {};
    });
    assert.ok(computed);
  });

  it('runs a step again only for other inputs', () => {
    let count = 0;
    const step = createStep((_: number | undefined, list: readonly number[], by: number) => {
      count++;
      return list.length * by;
    });
    const list = [1, 2];
    assert.equal(step(list, 2), 4);
    assert.equal(step(list, 2), 4);
    assert.equal(count, 1);
    assert.equal(step([1], 2), 2);
    assert.equal(count, 2);
  });

  it('keeps lists and maps with the same members', () => {
    const member = {};
    const list = [member];
    assert.equal(keepList(list, [member]), list);
    assert.notEqual(keepList(list, [{}]), list);
    const map = new Map([['a', member]]);
    assert.equal(keepMap(map, new Map([['a', member]])), map);
    assert.notEqual(keepMap(map, new Map([['b', member]])), map);
    assert.notEqual(
      keepMap(
        map,
        new Map([
          ['a', member],
          ['b', member],
        ]),
      ),
      map,
    );
  });

  it('gives one object per key', () => {
    const intern = createIntern<object>();
    const first = intern.get('a', () => ({}));
    assert.equal(
      intern.get('a', () => ({})),
      first,
    );
    assert.notEqual(
      intern.get('b', () => ({})),
      first,
    );
  });

  it('compares plain data', () => {
    assert.ok(sameContent({ a: [1, { b: 2 }] }, { a: [1, { b: 2 }] }));
    assert.ok(!sameContent({ a: [1] }, { a: [1, 2] }));
    assert.ok(!sameContent({ a: undefined }, {}));
    assert.ok(!sameContent(new Map(), new Map()));
    assert.ok(!sameContent([], {}));
  });
});
