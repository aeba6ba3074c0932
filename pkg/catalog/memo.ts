/**
 * Remembering between builds. Every step of a build takes immutable objects; what it made of the same ones before is
 * what it would make of them again. Nothing here is seen from outside but by being fast, and by references that stay.
 */

/** The previous list when it has the very same members. */
export function keepList<T>(previous: readonly T[] | undefined, next: readonly T[]): readonly T[] {
  return previous !== undefined && sameMembers(previous, next) ? previous : next;
}

/** The previous map when it has the very same entries, in the same order. */
export function keepMap<K, V>(previous: ReadonlyMap<K, V> | undefined, next: ReadonlyMap<K, V>): ReadonlyMap<K, V> {
  if (previous?.size !== next.size) return next;
  const entries = previous.entries();
  for (const [key, value] of next) {
    const entry = entries.next().value;
    if (entry === undefined || entry[0] !== key || entry[1] !== value) return next;
  }
  return previous;
}

export function sameMembers(a: readonly unknown[], b: readonly unknown[]): boolean {
  if (a === b) return true;
  if (a.length !== b.length) return false;
  for (let i = 0; i < a.length; i++) if (a[i] !== b[i]) return false;
  return true;
}

/** Are two values of plain data equal? The order of keys counts: what is compared is made by one function. */
export function sameContent(a: unknown, b: unknown): boolean {
  if (Object.is(a, b)) return true;
  if (typeof a !== 'object' || typeof b !== 'object' || a === null || b === null) return false;
  if (Array.isArray(a) || Array.isArray(b)) {
    if (!Array.isArray(a) || !Array.isArray(b) || a.length !== b.length) return false;
    return a.every((member, i) => sameContent(member, b[i]));
  }
  if (a instanceof Map || a instanceof Set || b instanceof Map || b instanceof Set) return false;
  const entries = Object.entries(a);
  const others = Object.entries(b);
  if (entries.length !== others.length) return false;
  return entries.every(([key, value], i) => others[i]?.[0] === key && sameContent(value, others[i]?.[1]));
}

/** One value per key, computed again only when one of its inputs is another object than before. */
export interface Memo<K, V> {
  /** A value computed anew that equals the one before is the one before. */
  get(key: K, inputs: readonly unknown[], compute: (previous: V | undefined) => V): V;
  /** Ends a round: forgets every key that was not asked for since the last call. */
  sweep(): void;
}

export function createMemo<K, V>(): Memo<K, V> {
  interface Entry {
    readonly inputs: readonly unknown[];
    readonly value: V;
  }
  let before = new Map<K, Entry>();
  let now = new Map<K, Entry>();
  return {
    get(key, inputs, compute) {
      const known = now.get(key) ?? before.get(key);
      if (known !== undefined && sameMembers(known.inputs, inputs)) {
        now.set(key, known);
        return known.value;
      }
      const fresh = compute(known?.value);
      const value = known !== undefined && sameContent(known.value, fresh) ? known.value : fresh;
      now.set(key, { inputs, value });
      return value;
    },
    sweep() {
      before = now;
      now = new Map();
    },
  };
}

/** A step of the build: done again only when one of its inputs is another object than the time before. */
export function createStep<I extends readonly unknown[], O>(
  compute: (previous: O | undefined, ...inputs: I) => O,
): (...inputs: I) => O {
  let inputs: I | undefined;
  let output: O | undefined;
  return (...next) => {
    if (inputs === undefined || output === undefined || !sameMembers(inputs, next)) {
      output = compute(output, ...next);
      inputs = next;
    }
    return output;
  };
}

/** Equal content, by a key that says all of it, is one object for as long as anybody holds it. */
export interface Intern<V extends object> {
  get(key: string, create: () => V): V;
}

export function createIntern<V extends object>(): Intern<V> {
  const references = new Map<string, WeakRef<V>>();
  let live = 0;

  function forgetDead(): void {
    for (const [key, reference] of references) if (reference.deref() === undefined) references.delete(key);
    live = references.size;
  }

  return {
    get(key, create) {
      const known = references.get(key)?.deref();
      if (known !== undefined) return known;
      const value = create();
      references.set(key, new WeakRef(value));
      if (references.size > 2 * live + 1_000) forgetDead();
      return value;
    },
  };
}

/** Gives each object a number, so that lists of objects can be keys. */
export function createNumbering(): (object: object) => number {
  const numbers = new WeakMap<object, number>();
  let last = 0;
  return (object) => {
    let number = numbers.get(object);
    if (number === undefined) {
      number = ++last;
      numbers.set(object, number);
    }
    return number;
  };
}
