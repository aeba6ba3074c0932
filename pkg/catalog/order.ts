/** By UTF-16 code units: the same everywhere, whatever the locale. */
export function compareText(a: string, b: string): number {
  return a < b ? -1 : a > b ? 1 : 0;
}

export function compareName(
  a: { readonly namespace: string; readonly name: string },
  b: { readonly namespace: string; readonly name: string },
): number {
  return compareText(a.namespace, b.namespace) || compareText(a.name, b.name);
}

export function compareKey(a: { readonly key: string }, b: { readonly key: string }): number {
  return compareText(a.key, b.key);
}

/** The oldest first, to the second; what has no age (files) is younger than what has one; then by name (DECISIONS S9). */
export function compareAge(a: Aged, b: Aged): number {
  const ages = [a, b].map(({ creationTimestamp }) => {
    const time = creationTimestamp === undefined ? Number.NaN : Date.parse(creationTimestamp);
    return Number.isNaN(time) ? Number.POSITIVE_INFINITY : Math.floor(time / 1000);
  }) as [number, number];
  return ages[0] === ages[1] ? compareName(a, b) : ages[0] < ages[1] ? -1 : 1;
}

interface Aged {
  readonly namespace: string;
  readonly name: string;
  readonly creationTimestamp?: string;
}
