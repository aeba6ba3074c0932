import type { HttpRequest } from '../policy/match.ts';
import { normalizePath, type PathFault } from '../policy/normalize-path.ts';

export interface SentRequest {
  readonly method: string;
  /** As sent, with its query. */
  readonly target: string;
  readonly headers: readonly (readonly [name: string, value: string])[];
}

/** A request as policy sees it, or why it never comes to policy (DECISIONS S14). */
export type CallRequest =
  | { readonly kind: 'request'; readonly sent: SentRequest; readonly request: HttpRequest }
  | { readonly kind: 'malformed'; readonly sent: SentRequest; readonly fault: PathFault };

/** `authority`: what a client that sets no Host sends. */
export function toCallRequest(sent: SentRequest, authority: string): CallRequest {
  const normalized = normalizePath(sent.target);
  if (!normalized.ok) return { kind: 'malformed', sent, fault: normalized.reason };
  const byName = new Map<string, string[]>();
  for (const [name, value] of sent.headers) {
    const key = name.toLowerCase();
    byName.set(key, [...(byName.get(key) ?? []), value]);
  }
  const host = byName.get('host')?.[0] ?? byName.get(':authority')?.[0] ?? authority;
  const request: HttpRequest = {
    method: sent.method,
    path: normalized.path + normalized.query,
    authority: host,
    header: (name) => byName.get(name) ?? [],
  };
  return { kind: 'request', sent, request };
}
