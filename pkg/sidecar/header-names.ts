import type { HttpMatch } from '../policy/match.ts';
import type { Direction } from './call.ts';
import type { PolicyStore } from './policy-store.ts';

/** Secrets, whatever a rule does with them: they go into no trace. */
const secret: ReadonlySet<string> = new Set(['authorization', 'proxy-authorization', 'cookie']);

/** `host` and `user-agent` have attributes of their own. */
const elsewhere: ReadonlySet<string> = new Set(['host', 'user-agent']);

const maxNames = 32;

/** The headers that the policy in force looks at, in one direction; computed anew when it has changed. */
export function createHeaderNames(store: PolicyStore, direction: Direction): () => readonly string[] {
  let names: readonly string[] | undefined;
  store.subscribe((part) => {
    if (part === direction) names = undefined;
  });
  return () => (names ??= toHeaderNames(direction === 'inbound' ? inboundMatches(store) : outboundMatches(store)));
}

function toHeaderNames(matches: Iterable<HttpMatch>): readonly string[] {
  const names = new Set<string>();
  for (const { headers = [] } of matches) {
    for (const { name } of headers) {
      if (names.size < maxNames && !secret.has(name) && !elsewhere.has(name)) names.add(name);
    }
  }
  return [...names].sort();
}

function* inboundMatches({ inbound }: PolicyStore): Generator<HttpMatch> {
  for (const { http = [] } of inbound?.rules ?? []) yield* http;
}

function* outboundMatches({ outbound }: PolicyStore): Generator<HttpMatch> {
  for (const { routes } of outbound.values()) {
    for (const { match = [] } of routes) yield* match;
  }
}
