import type { HeaderMatch, HttpMatch, HttpRequest } from './match.ts';
import { compilePattern, type Pattern } from './pattern.ts';

interface CompiledMatch {
  readonly path?: Pattern;
  readonly methods?: ReadonlySet<string>;
  readonly headers?: readonly CompiledHeader[];
}

interface CompiledHeader {
  readonly name: string;
  readonly pattern: Pattern;
}

const compiled = new WeakMap<HttpMatch, CompiledMatch>();

/** Do all conditions of a match hold? `request.path` must be normalised already (DECISIONS S5, S6, S14). */
export function matches(match: HttpMatch, request: HttpRequest): boolean {
  const { path, methods, headers } = compileMatch(match);
  if (methods && !methods.has(request.method)) return false;
  if (path && !path.test(pathOf(request))) return false;
  return headers === undefined || headers.every((header) => holds(header, request));
}

/** Each condition of a match by itself; absent: the match doesn't ask for it. */
export interface MatchReport {
  readonly match: HttpMatch;
  readonly held: boolean;
  readonly path?: boolean;
  readonly method?: boolean;
  readonly headers?: readonly (HeaderMatch & { readonly held: boolean })[];
}

/** What `matches` says, condition by condition. */
export function reportMatch(match: HttpMatch, request: HttpRequest): MatchReport {
  const { path, methods, headers } = compileMatch(match);
  return {
    match,
    held: matches(match, request),
    ...(path && { path: path.test(pathOf(request)) }),
    ...(methods && { method: methods.has(request.method) }),
    ...(headers && {
      headers: headers.map((header, i) => ({
        name: header.name,
        value: match.headers?.[i]?.value ?? '',
        held: holds(header, request),
      })),
    }),
  };
}

function compileMatch(match: HttpMatch): CompiledMatch {
  let known = compiled.get(match);
  if (known === undefined) {
    const { path, methods, headers } = match;
    known = {
      ...(path !== undefined && { path: compilePattern(path) }),
      ...(methods && { methods: new Set(methods) }),
      ...(headers && { headers: headers.map(({ name, value }) => ({ name, pattern: compilePattern(value) })) }),
    };
    compiled.set(match, known);
  }
  return known;
}

/** One line that matches as it stands suffices; a header that isn't there never matches, not even `.*`. */
function holds({ name, pattern }: CompiledHeader, request: HttpRequest): boolean {
  if (name === 'host') return pattern.test(request.authority);
  return request.header(name).some((line) => pattern.test(line));
}

function pathOf({ path }: HttpRequest): string {
  const question = path.indexOf('?');
  return question < 0 ? path : path.slice(0, question);
}
