/**
 * Remembers a pure function's value for as long as its arguments live. Every argument is compared by identity, so a
 * fragment of policy that did not change gives the very same resource, which is then encoded once for all proxies.
 */
export function memoize<Args extends readonly [object, ...object[]], Value>(
  compute: (...args: Args) => Value,
): (...args: Args) => Value {
  const root: Node<Value> = { children: new WeakMap() };
  return (...args) => {
    let node = root;
    for (const arg of args) {
      let child = node.children.get(arg);
      if (!child) {
        child = { children: new WeakMap() };
        node.children.set(arg, child);
      }
      node = child;
    }
    node.value ??= { of: compute(...args) };
    return node.value.of;
  };
}

interface Node<Value> {
  readonly children: WeakMap<object, Node<Value>>;
  value?: { readonly of: Value };
}

/** Where two lists differ: beyond `start` members at the front and `end` at the back, which are the same. */
export interface Change<T> {
  readonly start: number;
  readonly end: number;
  readonly gone: readonly T[];
  readonly fresh: readonly T[];
}

export function changeOf<T>(before: readonly T[], after: readonly T[]): Change<T> {
  const shorter = Math.min(before.length, after.length);
  let start = 0;
  while (start < shorter && before[start] === after[start]) start++;
  let end = 0;
  while (end < shorter - start && before[before.length - 1 - end] === after[after.length - 1 - end]) end++;
  return { start, end, gone: before.slice(start, before.length - end), fresh: after.slice(start, after.length - end) };
}

/**
 * What each member of a list stands for, one behind the other. Only members that the list of the call before did not
 * have at that place are asked; the same list where nothing came of them.
 */
export function createFlatMap<T, R>(partsOf: (member: T) => readonly R[]): (list: readonly T[]) => readonly R[] {
  let before: readonly T[] = [];
  let parts: readonly (readonly R[])[] = [];
  let flat: readonly R[] = [];
  return (list) => {
    const { start, end, gone, fresh } = changeOf(before, list);
    const made = fresh.map(partsOf);
    const old = parts.slice(start, start + gone.length);
    if (gone.length + fresh.length > 0) parts = [...parts.slice(0, start), ...made, ...parts.slice(parts.length - end)];
    if (!isSameFlat(old, made)) flat = toFlat(parts);
    before = list;
    return flat;
  };
}

function isSameFlat(before: readonly (readonly unknown[])[], after: readonly (readonly unknown[])[]): boolean {
  const [a, b] = [toFlat(before), toFlat(after)];
  return a.length === b.length && a.every((each, i) => each === b[i]);
}

/** `flat()` of a list takes twenty times as long. */
function toFlat<R>(parts: readonly (readonly R[])[]): readonly R[] {
  const flat: R[] = [];
  for (const part of parts) for (const each of part) flat.push(each);
  return flat;
}
