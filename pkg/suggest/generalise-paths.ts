export type PathStyle = 'exact' | 'segment' | 'prefix';

export interface PathGroup {
  /** RE2, for the whole path. */
  readonly pattern: string;
  /** What it was made of. */
  readonly paths: readonly string[];
}

/** Patterns for paths that were seen, as wide as told and no wider: `exact` paths, `segment`s that vary, what is below a `prefix`. */
export function generalisePaths(paths: readonly string[], style: PathStyle): readonly PathGroup[] {
  const distinct = [...new Set(paths)].sort();
  if (style === 'exact') return distinct.map((path) => ({ pattern: escapePattern(path), paths: [path] }));
  if (style === 'prefix') return byPrefix(distinct);
  return bySegment(distinct);
}

function escapePattern(text: string): string {
  return text.replace(/[\\.+*?()|[\]{}^$]/g, '\\$&');
}

/** Numbers, UUIDs, long hexadecimal and dates name one thing of many. */
const names =
  /^(?:\d+|[0-9a-f]{8}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{12}|(?=.*\d)[0-9a-f]{8,}|\d{4}-\d{2}-\d{2})$/i;
/** So many different values in one place are values, not words. */
const manyValues = 4;

function bySegment(paths: readonly string[]): readonly PathGroup[] {
  const rows = paths.map((path) => ({ path, segments: path.split('/') }));
  const patternOf = ({ segments }: (typeof rows)[number]): string =>
    segments
      .map((segment, i) => {
        if (segment === '') return '';
        const alike = rows.filter(
          (other) =>
            other.segments.length === segments.length &&
            other.segments.every(
              (text, k) => k === i || text === segments[k] || (names.test(text) && names.test(segments[k] ?? '')),
            ),
        );
        const values = new Set(alike.map((other) => other.segments[i]));
        return names.test(segment) || values.size >= manyValues ? '[^/]+' : escapePattern(segment);
      })
      .join('/');
  return group(rows.map((row) => [patternOf(row), row.path]));
}

/** Everything below the first segment, or below the deepest folder that all of its paths share. */
function byPrefix(paths: readonly string[]): readonly PathGroup[] {
  const byFirst = new Map<string, string[]>();
  for (const path of paths) {
    const first = path.split('/').slice(0, 2).join('/');
    byFirst.set(first, [...(byFirst.get(first) ?? []), path]);
  }
  return group(
    [...byFirst.values()].flatMap((list) => {
      const folder = commonFolder(list);
      const pattern = folder === '' ? undefined : `${escapePattern(folder)}/.*`;
      return list.map((path): readonly [string, string] => {
        const below = pattern !== undefined && path.startsWith(`${folder}/`);
        return [below ? pattern : escapePattern(path), path];
      });
    }),
  );
}

function commonFolder(paths: readonly string[]): string {
  const folders = paths.map((path) => path.split('/').slice(0, -1));
  const [first = [], ...rest] = folders;
  let depth = first.length;
  for (const folder of rest) {
    let i = 0;
    while (i < depth && folder[i] === first[i]) i += 1;
    depth = i;
  }
  return first.slice(0, depth).join('/');
}

function group(pairs: readonly (readonly [pattern: string, path: string])[]): readonly PathGroup[] {
  const groups = new Map<string, string[]>();
  for (const [pattern, path] of pairs) groups.set(pattern, [...(groups.get(pattern) ?? []), path]);
  return [...groups].map(([pattern, list]) => ({ pattern, paths: list }));
}
