/** The target of a request in the one form that policy matches and the app receives (DECISIONS S14). */
export type NormalizedPath =
  | {
      readonly ok: true;
      readonly path: string;
      /** With its question mark; '' when there is none. Never touched. */
      readonly query: string;
    }
  /** Answered with 400. */
  | { readonly ok: false; readonly reason: PathFault };

/**
 * `NotOriginForm`: it doesn't begin with a slash. `InvalidCharacter`: a control character, a space, or anything beyond ASCII.
 * `Fragment`: it has a `#`. `EscapedSlash`: `%2F` or `%5C` in the path. `NulByte`: `%00` in the path.
 */
export type PathFault = 'NotOriginForm' | 'InvalidCharacter' | 'Fragment' | 'EscapedSlash' | 'NulByte';

const plain = /^(?:\/[A-Za-z0-9_~!$&'()*+,:;=@[\]-][A-Za-z0-9_~!$&'()*+,:;=@[\].-]*)+\/?$/;

/**
 * Normalises a raw request target in origin form (a path, perhaps a query; one character per byte, as node:http has it).
 *
 * The result is that of Envoy 1.40 with `normalize_path`, `merge_slashes` and `path_with_escaped_slashes_action:
 * REJECT_REQUEST`, oddities included, so that both data planes match the same text; `normalize-path.cases.ts` has
 * the cases that were compared. In this order: `\` becomes `/`; dot segments, escaped or not, are resolved, and
 * with parameters behind them (`/..;x/`) when not; escapes of letters, digits, `-._~` are decoded, others kept
 * as they are; what a URL can't have is escaped; runs of slashes become one.
 */
export function normalizePath(target: string): NormalizedPath {
  const question = target.indexOf('?');
  const raw = question < 0 ? target : target.slice(0, question);
  const query = question < 0 ? '' : target.slice(question);
  const fault = faultOf(target, raw);
  if (fault !== undefined) return { ok: false, reason: fault };
  if (raw === '/' || plain.test(raw)) return { ok: true, path: raw, query };
  const path = canonicalize(dropDotParameters(raw));
  return path === undefined ? { ok: false, reason: 'NulByte' } : { ok: true, path: mergeSlashes(path), query };
}

function faultOf(target: string, path: string): PathFault | undefined {
  if (!path.startsWith('/')) return 'NotOriginForm';
  if (/[^\x21-\x7e]/.test(target)) return 'InvalidCharacter';
  if (target.includes('#')) return 'Fragment';
  return path.includes('%') && /%(?:2f|5c)/i.test(path) ? 'EscapedSlash' : undefined;
}

/** `/a/..;x=1/b` is `/a/../b`: some servers read it so, and would otherwise leave the directory behind policy's back. */
function dropDotParameters(path: string): string {
  return path.replace(/(^|\/)(\.\.?);[^/]*/g, '$1$2');
}

const unreserved = /[A-Za-z0-9\-._~]/;
const escaped = /["<>^`{|}\s]/;

/** The canonical form of a path, as URL libraries of the Chromium family have it; undefined when it has a NUL. */
function canonicalize(path: string): string | undefined {
  let out = '';
  let lastBarePercent = Number.NEGATIVE_INFINITY;
  for (let i = 0; i < path.length; i++) {
    const char = path[i] as string;
    const dot = dotLength(path, i);
    if (dot > 0) {
      const directory = out.endsWith('/') ? directoryAfterDot(path, i + dot) : undefined;
      if (directory === undefined) {
        out += '.';
        i += dot - 1;
      } else {
        if (directory.up) out = parentOf(out);
        i += dot + directory.length - 1;
      }
    } else if (char === '\\') {
      out += '/';
    } else if (char === '%') {
      const value = escapedChar(path, i);
      if (value === undefined) {
        lastBarePercent = out.length;
        out += '%';
      } else if (value === '\0') {
        return undefined;
      } else if (unreserved.test(value)) {
        out = guardBarePercent(out + value, lastBarePercent, path[i + 3]);
        i += 2;
      } else {
        out += path.slice(i, i + 3);
        i += 2;
      }
    } else {
      out += escaped.test(char) ? `%${char.charCodeAt(0).toString(16).toUpperCase()}` : char;
    }
  }
  return out;
}

/** Length of the dot at `i`, escaped or not; 0 when there is none. */
function dotLength(path: string, i: number): number {
  if (path[i] === '.') return 1;
  return path[i] === '%' && path[i + 1] === '2' && (path[i + 2] === 'e' || path[i + 2] === 'E') ? 3 : 0;
}

/** What stands behind the first dot of a segment: its length to the next segment. Undefined: the segment is a name. */
function directoryAfterDot(path: string, i: number): { up: boolean; length: number } | undefined {
  const end = segmentEnd(path, i);
  if (end !== undefined) return { up: false, length: end };
  const second = dotLength(path, i);
  const endAfterSecond = second > 0 ? segmentEnd(path, i + second) : undefined;
  return endAfterSecond === undefined ? undefined : { up: true, length: second + endAfterSecond };
}

/** 0 at the end of the path, 1 at a slash, else undefined. */
function segmentEnd(path: string, i: number): number | undefined {
  if (i >= path.length) return 0;
  return path[i] === '/' || path[i] === '\\' ? 1 : undefined;
}

function parentOf(directory: string): string {
  return directory === '/' ? directory : directory.slice(0, directory.lastIndexOf('/', directory.length - 2) + 1);
}

function escapedChar(path: string, i: number): string | undefined {
  const hex = path.slice(i + 1, i + 3);
  return /^[0-9a-f]{2}$/i.test(hex) ? String.fromCharCode(Number.parseInt(hex, 16)) : undefined;
}

/**
 * Decoding must not make a new escape out of a bare percent (`/%2%66` is not `/%2f`): it is written `%25` then.
 * Looks one character of the input ahead.
 */
function guardBarePercent(out: string, percent: number, next: string | undefined): string {
  const behind = out.length - percent;
  if (behind !== 2 && behind !== 3) return out;
  const hex = behind === 2 ? out.slice(percent + 1) + (next ?? '') : out.slice(percent + 1);
  return /^[0-9a-f]{2}$/i.test(hex) ? `${out.slice(0, percent)}%25${out.slice(percent + 1)}` : out;
}

/** A path of slashes only becomes two of them: Envoy keeps the first and the last. */
function mergeSlashes(path: string): string {
  if (!path.includes('//')) return path;
  return /^\/+$/.test(path) ? '//' : path.replace(/\/{2,}/g, '/');
}
