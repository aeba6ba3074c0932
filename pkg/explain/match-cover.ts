import type { HttpMatch } from '../policy/match.ts';
import { compilePattern } from '../policy/pattern.ts';
import { isSamePattern } from '../policy/same-pattern.ts';

type Conditions = Pick<HttpMatch, 'path' | 'methods' | 'headers'>;

/**
 * Does `a` let pass all that `b` lets pass? True only where it can be told for sure; equal languages that are written in
 * different ways may be missed.
 */
export function coversMatch(a: Conditions, b: Conditions): boolean {
  return coversMethods(a.methods, b.methods) && coversPath(a.path, b.path) && coversHeaders(a.headers, b.headers);
}

function coversMethods(a: readonly string[] | undefined, b: readonly string[] | undefined): boolean {
  return a === undefined || (b !== undefined && b.every((method) => a.includes(method)));
}

/** Undefined: any path. */
function coversPath(a: string | undefined, b: string | undefined): boolean {
  if (isAnyPath(a) || a === b) return true;
  if (a === undefined || b === undefined) return false;
  if (isLiteral(b)) return compilePattern(a).test(b);
  const open = a.endsWith('.*') && isLiteral(a.slice(0, -2)) ? a.slice(0, -2) : undefined;
  return (open !== undefined && literalStart(b).startsWith(open)) || isSamePattern(a, b);
}

export function isAnyPath(path: string | undefined): boolean {
  return path === undefined || path === '.*' || path === '/.*' || path === '(?:.*).*' || path === '(?:/.*).*';
}

export function isLiteral(pattern: string): boolean {
  return !/[\\.+*?()|[\]{}^$]/.test(pattern);
}

/** What every path that a pattern matches begins with; '' where that can't be told. */
function literalStart(pattern: string): string {
  if (pattern.includes('|') || pattern.includes('(?')) return '';
  const [start = ''] = /^[^\\.+*?()[\]{}^$]*/.exec(pattern) ?? [];
  const next = pattern[start.length];
  // What a quantifier stands behind may be absent.
  return next === '*' || next === '?' || next === '{' ? start.slice(0, -1) : start;
}

/** Each condition of `a` is one of `b`, or holds whatever the header that `b` asks for says. */
function coversHeaders(a: Conditions['headers'] = [], b: Conditions['headers'] = []): boolean {
  return a.every(({ name, value }) =>
    b.some((other) => other.name === name && (value === '.*' || isSamePattern(other.value, value))),
  );
}
