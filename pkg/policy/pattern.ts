import { RE2JS } from 're2js';

/** Matches a whole value. */
export interface Pattern {
  test(value: string): boolean;
}

/**
 * The most instructions that a compiled pattern may have (DECISIONS S12: 5,000 for what users write, and a little for
 * the open end that `pathMatch: start` adds). A larger one, or one that isn't RE2, matches nothing: the catalog reports it.
 */
const maxProgramSize = 5_016;
/** As above: 16,384, and the open end. */
const maxLength = 16_400;
const maxCached = 4_096;

const nothing: Pattern = { test: () => false };
const cache = new Map<string, Pattern>();

/** Compiles an RE2 pattern for full matches; the newest few thousand are kept. Never throws. */
export function compilePattern(source: string): Pattern {
  const known = cache.get(source);
  if (known) return known;
  const pattern = simplePattern(source) ?? regexPattern(source);
  if (cache.size >= maxCached) {
    for (const oldest of cache.keys()) {
      cache.delete(oldest);
      break;
    }
  }
  cache.set(source, pattern);
  return pattern;
}

/** The shapes that most policies consist of, without an engine: a literal, `.*`, and a literal followed by `.*`. */
function simplePattern(source: string): Pattern | undefined {
  const open = source.endsWith('.*');
  const literal = open ? source.slice(0, -2) : source;
  if (/[\\.+*?()|[\]{}^$]/.test(literal) || /[^\x20-\x7e]/.test(literal)) return undefined;
  if (!open) return { test: (value) => value === literal };
  // The dot of RE2 is any character but a line feed.
  return { test: (value) => value.startsWith(literal) && !value.includes('\n', literal.length) };
}

function regexPattern(source: string): Pattern {
  if (source.length > maxLength) return nothing;
  try {
    const regex = RE2JS.compile(source);
    return regex.programSize() > maxProgramSize ? nothing : { test: (value) => regex.testExact(value) };
  } catch {
    return nothing;
  }
}
