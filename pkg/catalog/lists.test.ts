import assert from 'node:assert/strict';
import fc from 'fast-check';
import { changeOf, createGroupsOf, createIndex, createListMap, createSorted, createValueIndex } from './lists.ts';
import { compareKey } from './order.ts';

interface Member {
  readonly key: string;
  readonly tags: readonly string[];
}

/** Edits of a list of some dozens: members with a key of their own that come, go, are replaced, or change places. */
const member = fc.record({
  key: fc.integer({ min: 0, max: 60 }).map(String),
  tags: fc.uniqueArray(fc.constantFrom('a', 'b', 'c'), { maxLength: 3 }),
});
const edit = fc.record({ kind: fc.constantFrom('put', 'put', 'remove', 'swap'), member, at: fc.nat({ max: 60 }) });
const lists = fc
  .tuple(fc.uniqueArray(member, { selector: ({ key }) => key, minLength: 20, maxLength: 50 }), fc.array(edit))
  .map(([first, edits]) => {
    let list: readonly Member[] = first;
    return [first, ...edits.map((each) => (list = change(list, each)))];
  });

function change(
  list: readonly Member[],
  { kind, member, at }: { readonly kind: string; readonly member: Member; readonly at: number },
): readonly Member[] {
  const i = list.findIndex(({ key }) => key === member.key);
  if (kind === 'remove') return list.filter(({ key }) => key !== member.key);
  if (kind === 'swap' && list.length > 0) {
    const [a, b] = [at % list.length, (at * 7) % list.length];
    return list.map((each, j) => (j === a ? list[b] : j === b ? list[a] : each) as Member);
  }
  return i < 0 ? list.toSpliced(at % (list.length + 1), 0, member) : list.with(i, member);
}

/** Runs through the lists with one follower, and each time with a new one: both must say the same. */
function assertFollows<R>(create: () => (list: readonly Member[]) => R, plain: (result: R) => unknown): void {
  fc.assert(
    fc.property(lists, (all) => {
      const follow = create();
      for (const list of all) {
        const result = follow(list);
        assert.deepEqual(plain(result), plain(create()(list)));
        assert.equal(follow([...list]), result, 'another result for the same members');
      }
    }),
    { numRuns: 100 },
  );
}

describe('lists that follow a change', () => {
  it('tell what came and what went', () => {
    fc.assert(
      fc.property(lists, (all) => {
        for (const [i, after] of all.entries()) {
          const before = all[i - 1] ?? [];
          const change = changeOf(before, after);
          assert.deepEqual(new Set(change?.removed), new Set(before.filter((each) => !after.includes(each))));
          assert.deepEqual(new Set(change?.added), new Set(after.filter((each) => !before.includes(each))));
        }
      }),
    );
  });

  it('map members once each', () => {
    const made = new Map<Member, number>();
    assertFollows(
      () =>
        createListMap((each: Member) => {
          made.set(each, (made.get(each) ?? 0) + 1);
          return each.key;
        }),
      (result) => result,
    );
    const map = createListMap((each: Member) => ({ key: each.key }));
    const [a, b] = [
      { key: 'a', tags: [] },
      { key: 'b', tags: [] },
    ];
    const first = map([a, b]);
    assert.equal(map([b, a])[1], first[0]);
    assert.notEqual(map([b, a], true)[1], first[0]);
  });

  it('sort as sorting at once does', () => {
    assertFollows(
      () => createSorted<Member>(compareKey),
      (result) => result,
    );
  });

  it('leave what is equal in the order of the list', () => {
    const sort = createSorted<Member>(compareKey);
    const many = Array.from({ length: 30 }, (_, i) => ({ key: `k${10 + i}`, tags: [] }));
    sort(many);
    const twin = { key: 'k20', tags: ['a'] };
    assert.deepEqual(sort([twin, ...many]).slice(10, 12), [twin, many[10]]);
  });

  it('leave what is equal in the order of the list, whatever changes places', () => {
    // Few keys: many are equal.
    const byTags = ({ tags: a }: Member, { tags: b }: Member): number => a.length - b.length;
    assertFollows(
      () => createSorted(byTags),
      (result) => result,
    );
    assertFollows(
      () => {
        const sort = createSorted(byTags);
        const index = createIndex(({ tags }: Member) => tags.length);
        return (list) => index(sort(list));
      },
      (result) => Object.fromEntries(result),
    );
  });

  it('are as if they had not been called when what they ask throws', () => {
    let breaks = false;
    const asked = <T>(answer: T): T => {
      if (breaks) throw new Error('no answer');
      return answer;
    };
    const compare = (a: Member, b: Member): number => asked(compareKey(a, b));
    const followers: readonly (() => (list: readonly Member[]) => unknown)[] = [
      () => createListMap(({ key }: Member) => asked(key)),
      () => createSorted(compare),
      () => createIndex(({ key }: Member) => asked(key)),
      () =>
        createValueIndex(
          ({ key }: Member) => key,
          ({ tags }: Member) => asked(tags),
        ),
      () => createGroupsOf(({ tags }: Member) => asked(tags), compareKey),
      () => createGroupsOf(({ tags }: Member) => tags, compare),
    ];
    const many = Array.from({ length: 30 }, (_, i): Member => ({ key: String(100 + i), tags: ['a'] }));
    const replaced = many.with(3, { key: '103', tags: ['a', 'b'] });
    for (const next of [replaced, [...replaced, { key: '90', tags: ['b', 'c'] }], replaced.slice(0, 8)]) {
      for (const [i, create] of followers.entries()) {
        const follow = create();
        follow(many);
        breaks = true;
        assert.throws(() => follow(next), `follower ${i} did not ask`);
        breaks = false;
        assert.deepEqual(follow(next), create()(next), `follower ${i}`);
      }
    }
  });

  it('find by key, in the order of the list', () => {
    assertFollows(
      () => createIndex(({ key }: Member) => key),
      (result) => [...result],
    );
    const index = createIndex(({ key }: Member) => key);
    const many = Array.from({ length: 30 }, (_, i): Member => ({ key: String(100 + i), tags: [] }));
    index(many);
    const put = many.with(3, { key: '103', tags: ['a'] });
    assert.deepEqual([...index(put).values()], put);
    const added = put.toSpliced(5, 1, { key: '5', tags: [] });
    assert.deepEqual([...index(added).values()], added);
    const [third, fourth] = [added[3] as Member, added[4] as Member];
    const swapped = added.with(3, fourth).with(4, { ...third });
    assert.deepEqual([...index(swapped).values()], swapped);
  });

  it('find what a duplicate hid', () => {
    const index = createIndex(({ key }: Member) => key);
    const many = Array.from({ length: 30 }, (_, i) => ({ key: String(i), tags: [] }));
    const twin = { key: '3', tags: ['a'] };
    assert.equal(index([...many, twin]).get('3'), twin);
    assert.equal(index([...many, { key: 'x', tags: [] }]).get('3'), many[3]);
  });

  it('group as grouping at once does, and keep the groups in which nothing changed', () => {
    assertFollows(
      () => createGroupsOf(({ tags }: Member) => tags, compareKey),
      (result) => Object.fromEntries(result),
    );
    const group = createGroupsOf(({ tags }: Member) => tags, compareKey);
    const many = Array.from({ length: 30 }, (_, i) => ({ key: String(i), tags: [i < 15 ? 'a' : 'b'] }));
    const before = group(many);
    const after = group(many.with(3, { key: '3', tags: [] }));
    assert.equal(after.get('b'), before.get('b'));
    assert.equal(after.get('a')?.length, 14);
    assert.equal(before.get('a')?.length, 15);
  });
});
