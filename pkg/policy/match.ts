import type { Origin } from './origin.ts';

/**
 * One condition on an HTTP request; all that is given must hold (SMI HTTPRouteGroup match, DECISIONS S5 and S6).
 * Patterns are RE2 and match the whole value, whatever `pathMatch` says: the catalog writes the open end into them.
 */
export interface HttpMatch {
  /** Name of the match in its HTTPRouteGroup. */
  readonly name: string;
  readonly origin: Origin;
  /** Matched against the normalised path without its query. Absent: any path. */
  readonly path?: string;
  /** Case-sensitive. Absent: any method. Never empty. */
  readonly methods?: readonly string[];
  /** All must hold; one line of the header that matches suffices. Names are lower case; `host` is the authority. */
  readonly headers?: readonly HeaderMatch[];
}

export interface HeaderMatch {
  readonly name: string;
  readonly value: string;
}

/** A request as policy sees it. `path` is the raw request target, query included. */
export interface HttpRequest {
  readonly method: string;
  readonly path: string;
  /** `:authority` or Host, as sent. */
  readonly authority: string;
  /** The lines of one header, by lower-case name; empty when it isn't there. */
  header(name: string): readonly string[];
}
