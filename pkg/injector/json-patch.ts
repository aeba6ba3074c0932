/** One operation of RFC 6902, of those that injection needs. */
export type PatchOperation =
  | { readonly op: 'add' | 'replace'; readonly path: string; readonly value: unknown }
  | { readonly op: 'remove'; readonly path: string };

/** What makes `after` of `before`. Lists whose length changes are replaced as a whole. */
export function toPatch(before: unknown, after: unknown): readonly PatchOperation[] {
  return [...diff(before, after, '')];
}

function* diff(before: unknown, after: unknown, path: string): Generator<PatchOperation> {
  if (before === after) return;
  if (isRecord(before) && isRecord(after)) {
    for (const key of Object.keys(before)) {
      if (after[key] === undefined) yield { op: 'remove', path: `${path}/${escape(key)}` };
    }
    for (const [key, value] of Object.entries(after)) {
      const at = `${path}/${escape(key)}`;
      if (value === undefined || value === before[key]) continue;
      // An explicit null counts as absent: `add` replaces it.
      if (before[key] === undefined || before[key] === null) yield { op: 'add', path: at, value };
      else yield* diff(before[key], value, at);
    }
  } else if (Array.isArray(before) && Array.isArray(after) && before.length === after.length) {
    for (const [index, value] of after.entries()) yield* diff(before[index], value, `${path}/${index}`);
  } else {
    yield { op: 'replace', path, value: after };
  }
}

/** RFC 6901 §3 */
function escape(key: string): string {
  return key.replaceAll('~', '~0').replaceAll('/', '~1');
}

function isRecord(value: unknown): value is Record<string, unknown> {
  return typeof value === 'object' && value !== null && !Array.isArray(value);
}
