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
