import { keepMap } from './memo.ts';

/**
 * What is made of a list, again and again. Each function here remembers the list that it was given last: what makes the
 * new one differ is found by comparing references, and the work is that of the difference. Members are told apart by
 * identity; the result is the one before when nothing in it changed, and is never changed once it was given out. What
 * throws is as if it had not been called.
 */

/** Where two lists differ: beyond `start` members at the front and `end` at the back, which are the same. */
interface Gap {
  readonly start: number;
  readonly end: number;
}

function gapOf(before: readonly unknown[], after: readonly unknown[]): Gap | undefined {
  if (before === after) return undefined;
  const shorter = Math.min(before.length, after.length);
  let start = 0;
  while (start < shorter && before[start] === after[start]) start++;
  if (start === before.length && start === after.length) return undefined;
  let end = 0;
  while (end < shorter - start && before[before.length - 1 - end] === after[after.length - 1 - end]) end++;
  return { start, end };
}

export interface ListChange<T> {
  readonly removed: readonly T[];
  readonly added: readonly T[];
}

/** The members that only one of two lists has; undefined when they have the same, in the same order. */
export function changeOf<T>(before: readonly T[], after: readonly T[]): ListChange<T> | undefined {
  const gap = gapOf(before, after);
  if (gap === undefined) return undefined;
  const old = before.slice(gap.start, before.length - gap.end);
  const fresh = after.slice(gap.start, after.length - gap.end);
  if (old.length === 0 || fresh.length === 0) return { removed: old, added: fresh };
  const [olds, news] = [new Set(old), new Set(fresh)];
  return { removed: old.filter((member) => !news.has(member)), added: fresh.filter((member) => !olds.has(member)) };
}

/** Makes one thing of each member, anew only for members that were not there before; or for all, when told so. */
export function createListMap<T, R>(make: (member: T) => R): (list: readonly T[], anew?: boolean) => readonly R[] {
  let before: readonly T[] = [];
  let results: readonly R[] = [];
  return (list, anew = false) => {
    const gap = anew ? { start: 0, end: 0 } : gapOf(before, list);
    if (gap === undefined) return results;
    const { start, end } = gap;
    const known = new Map<T, R>();
    if (!anew) for (let i = start; i < before.length - end; i++) known.set(before[i] as T, results[i] as R);
    const made = list
      .slice(start, list.length - end)
      .map((member) => (known.has(member) ? (known.get(member) as R) : make(member)));
    const next = [...results.slice(0, start), ...made, ...results.slice(results.length - end)];
    results = gapOf(results, next) === undefined ? results : next;
    before = list;
    return results;
  };
}

/** More than this much of a list anew, and it is done from scratch. */
const worthPatching = 8;

function isSmall<T>({ removed, added }: ListChange<T>, size: number): boolean {
  return (removed.length + added.length) * worthPatching <= size;
}

type Compare<T> = (a: T, b: T) => number;

/** Keeps lists sorted. Members that compare as equal stand as they do in the list. */
export function createSorted<T>(compare: Compare<T>): (list: readonly T[]) => readonly T[] {
  let before: readonly T[] = [];
  let sorted: readonly T[] = [];
  /** Some compare as equal: only the whole list says the order. */
  let tied = false;
  return (list) => {
    const change = changeOf(before, list);
    if (change !== undefined) {
      const patched = !tied && isSmall(change, list.length) ? patch(sorted, change, compare) : undefined;
      const next = patched ?? [...list].sort(compare);
      const hasTies = patched === undefined && next.some((each, i) => i > 0 && compare(next[i - 1] as T, each) === 0);
      sorted = gapOf(sorted, next) === undefined ? sorted : next;
      tied = hasTies;
    }
    before = list;
    return sorted;
  };
}

/** Undefined where only the whole list says the order: something compares as equal. */
function patch<T>(sorted: readonly T[], { removed, added }: ListChange<T>, compare: Compare<T>): T[] | undefined {
  const result = [...sorted];
  for (const member of removed) {
    const at = placeIn(result, member, compare);
    if (result[at] !== member) return undefined;
    result.splice(at, 1);
  }
  for (const member of added) {
    const at = placeIn(result, member, compare);
    const there = result[at];
    if (there !== undefined && compare(there, member) === 0) return undefined;
    result.splice(at, 0, member);
  }
  return result;
}

/** The first place whose member does not come before this one. */
function placeIn<T>(sorted: readonly T[], member: T, compare: Compare<T>): number {
  let [low, high] = [0, sorted.length];
  while (low < high) {
    const middle = (low + high) >> 1;
    if (compare(sorted[middle] as T, member) < 0) low = middle + 1;
    else high = middle;
  }
  return low;
}

/** Finds members by a key of theirs; of several with one key, the last in the list. In the order of the list. */
export function createIndex<T, K>(keyOf: (member: T) => K): (list: readonly T[]) => ReadonlyMap<K, T> {
  return createValueIndex(keyOf, (member) => member);
}

/** The same for something that each member has. The index before, when all these are the same. */
export function createValueIndex<T, K, V>(
  keyOf: (member: T) => K,
  valueOf: (member: T) => V,
): (list: readonly T[]) => ReadonlyMap<K, V> {
  let before: readonly T[] = [];
  /** What stands for each of them. */
  let entries: readonly (readonly [K, V])[] = [];
  let index: ReadonlyMap<K, V> = new Map();
  return (list) => {
    const gap = gapOf(before, list);
    if (gap === undefined) return index;
    const { start, end } = gap;
    const removed = entries.slice(start, entries.length - end);
    const added = list.slice(start, list.length - end).map((member) => [keyOf(member), valueOf(member)] as const);
    const next = [...entries.slice(0, start), ...added, ...entries.slice(entries.length - end)];
    // Where a key is there twice, what is replaced may not be what is found.
    const isClear = index.size === entries.length && entries.length === next.length;
    const patched = isClear && isSmall({ removed, added }, next.length) ? patchIndex({ removed, added }) : undefined;
    index = patched ?? keepMap(index, new Map(next));
    entries = next;
    before = list;
    return index;
  };

  /** Undefined where other keys are there than before, or in another order. */
  function patchIndex({ removed, added }: ListChange<readonly [K, V]>): ReadonlyMap<K, V> | undefined {
    if (removed.some(([key], i) => key !== added[i]?.[0])) return undefined;
    const changed = added.filter(([key, value]) => index.get(key) !== value);
    if (changed.length === 0) return index;
    const next = new Map(index);
    for (const [key, value] of changed) next.set(key, value);
    return next;
  }
}

/** What one member stands for in groups: under which key, and as what. The same values for the same member. */
type Entries<T, K, V> = (member: T) => readonly (readonly [K, V])[];

/** Sorts what members stand for into groups. A group in which nothing changed is the same list. */
export function createGroups<T, K, V>(
  entriesOf: Entries<T, K, V>,
  compare: Compare<V>,
): (list: readonly T[]) => ReadonlyMap<K, readonly V[]> {
  let before: readonly T[] = [];
  let groups: ReadonlyMap<K, readonly V[]> = new Map();
  return (list) => {
    const change = changeOf(before, list);
    if (change !== undefined) groups = isSmall(change, list.length) ? regroup(groups, change) : group(list);
    before = list;
    return groups;
  };

  function group(list: readonly T[]): ReadonlyMap<K, readonly V[]> {
    const result = new Map<K, V[]>();
    for (const member of list) {
      for (const [key, value] of entriesOf(member)) {
        const known = result.get(key);
        if (known) known.push(value);
        else result.set(key, [value]);
      }
    }
    for (const [key, values] of result) {
      values.sort(compare);
      const known = groups.get(key);
      if (known && gapOf(known, values) === undefined) result.set(key, known as V[]);
    }
    return result;
  }

  function regroup(
    known: ReadonlyMap<K, readonly V[]>,
    { removed, added }: ListChange<T>,
  ): ReadonlyMap<K, readonly V[]> {
    const changes = new Map<K, { readonly out: Set<V>; readonly in: V[] }>();
    const changesOf = (key: K): { readonly out: Set<V>; readonly in: V[] } => {
      const own = changes.get(key) ?? { out: new Set<V>(), in: [] };
      changes.set(key, own);
      return own;
    };
    for (const member of removed) for (const [key, value] of entriesOf(member)) changesOf(key).out.add(value);
    for (const member of added) for (const [key, value] of entriesOf(member)) changesOf(key).in.push(value);
    if (changes.size === 0) return known;
    const result = new Map(known);
    for (const [key, own] of changes) {
      const old = known.get(key) ?? [];
      const values = [...old.filter((value) => !own.out.has(value)), ...own.in].sort(compare);
      if (values.length === 0) result.delete(key);
      else if (gapOf(old, values) !== undefined) result.set(key, values);
    }
    return result;
  }
}

/** Groups of the members themselves. */
export function createGroupsOf<T, K>(
  keysOf: (member: T) => readonly K[],
  compare: Compare<T>,
): (list: readonly T[]) => ReadonlyMap<K, readonly T[]> {
  return createGroups<T, K, T>((member) => keysOf(member).map((key) => [key, member]), compare);
}

/** What was made in the round before, found by key; at about the same place, where little came or went meanwhile. */
export interface LastRound<E> {
  at(place: number, key: string): E | undefined;
  /** Ends a round. The list before, when these are the same. */
  keep(entries: readonly E[]): readonly E[];
}

export function createLastRound<E>(keyOf: (entry: E) => string): LastRound<E> {
  let last: readonly E[] = [];
  let index: Map<string, E> | undefined;
  /** What came and went before this place moved all behind it. */
  let shift = 0;

  function find(place: number, key: string): E | undefined {
    for (const step of [-1, 1]) {
      const entry = last[place + shift + step];
      if (entry === undefined || keyOf(entry) !== key) continue;
      shift += step;
      return entry;
    }
    index ??= new Map(last.map((each) => [keyOf(each), each]));
    return index.get(key);
  }

  return {
    at(place, key) {
      const entry = last[place + shift];
      return entry !== undefined && keyOf(entry) === key ? entry : find(place, key);
    },
    keep(entries) {
      shift = 0;
      if (gapOf(last, entries) === undefined) return last;
      const change = index && changeOf(last, entries);
      if (change && isSmall(change, entries.length)) {
        for (const each of change.removed) index?.delete(keyOf(each));
        for (const each of change.added) index?.set(keyOf(each), each);
      } else index = undefined;
      return (last = entries);
    },
  };
}
