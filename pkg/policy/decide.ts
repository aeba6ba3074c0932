import type { ServiceIdentity } from './identity.ts';
import { isEnforced, type AccessRule, type InboundPolicy } from './inbound.ts';
import type { HttpRequest } from './match.ts';
import { matches } from './matches.ts';
import type { Origin } from './origin.ts';
import type { OutboundService, WeightedBackend } from './outbound.ts';

/**
 * Why a request or connection is refused; both sidecars answer with these (DECISIONS S11).
 * `NoTarget`: no rule at all for this workload. `SourceNotAllowed`: rules, but none names this source.
 * `RequestNotAllowed`: the source is named, but not for this request or port. `PlaintextRefused`: no mutual TLS.
 */
export type DenyReason = 'NoTarget' | 'SourceNotAllowed' | 'RequestNotAllowed' | 'PlaintextRefused';

export interface InboundCall {
  /** Absent: the peer came without a certificate (plaintext). */
  readonly source?: ServiceIdentity;
  /** The workload's own port. */
  readonly port: number;
  /** Absent: raw TCP. `path` must be normalised already (`normalizePath`). */
  readonly request?: HttpRequest;
}

/** What the policy says of one call. `mode` is applied: in permissive and shadow mode everything is allowed. */
export interface InboundVerdict {
  readonly allowed: boolean;
  /** The rule that allowed it (enforce), or that would have (other modes). */
  readonly rule?: Origin;
  /** Why it is denied, or would be in enforce mode. Absent when a rule allows it. */
  readonly reason?: DenyReason;
  /** Shadow rules that would have allowed it. */
  readonly shadowRules?: readonly Origin[];
}

export interface BackendShare {
  readonly backend: WeightedBackend;
  /** Exact share of the traffic, 0 to 1. */
  readonly share: number;
}

export type OutboundDecision =
  | { readonly kind: 'route'; readonly origin?: Origin; readonly backends: readonly BackendShare[] }
  /** 503: no backend is left or all weights are zero. */
  | { readonly kind: 'unavailable'; readonly origin?: Origin };

/**
 * What a client's sidecar answers for a service of the directory that is not within its reach: no rule of the
 * workloads behind it names this client. (Whether there is any rule at all is not the client's to know.)
 */
export const outOfReach: DenyReason = 'SourceNotAllowed';

interface CompiledInbound {
  readonly enforced: boolean;
  readonly ports: ReadonlySet<number>;
  readonly grants: boolean;
  readonly bySource: ReadonlyMap<ServiceIdentity, readonly AccessRule[]>;
  readonly shadowBySource: ReadonlyMap<ServiceIdentity, readonly AccessRule[]>;
}

const compiled = new WeakMap<InboundPolicy, CompiledInbound>();

/** May this call come in? The union of all rules, none of them before the others (DECISIONS S2, S3, S11). */
export function decideInbound(policy: InboundPolicy, call: InboundCall): InboundVerdict {
  const { enforced, ports, grants, bySource, shadowBySource } = compileInbound(policy);
  const { source } = call;
  if (source === undefined) return { allowed: !enforced, reason: 'PlaintextRefused' };
  const known = ports.has(call.port);
  const own = bySource.get(source);
  const rule = known ? own?.find((candidate) => covers(candidate, call)) : undefined;
  const shadow = known ? shadowBySource.get(source)?.filter((candidate) => covers(candidate, call)) : undefined;
  const shadowRules = shadow && shadow.length > 0 ? { shadowRules: shadow.map(({ origin }) => origin) } : undefined;
  if (rule) return { allowed: true, rule: rule.origin, ...shadowRules };
  const reason = own ? 'RequestNotAllowed' : grants ? 'SourceNotAllowed' : 'NoTarget';
  return { allowed: !enforced, reason, ...shadowRules };
}

/** What is asked of the policy again and again, looked up once; kept as long as the policy is. */
function compileInbound(policy: InboundPolicy): CompiledInbound {
  let known = compiled.get(policy);
  if (known === undefined) {
    const bySource = new Map<ServiceIdentity, AccessRule[]>();
    const shadowBySource = new Map<ServiceIdentity, AccessRule[]>();
    for (const rule of policy.rules) {
      const index = rule.shadow ? shadowBySource : bySource;
      for (const source of rule.sources) {
        const rules = index.get(source);
        if (rules) rules.push(rule);
        else index.set(source, [rule]);
      }
    }
    known = {
      enforced: isEnforced(policy),
      ports: new Set(policy.ports.map(({ port }) => port)),
      grants: bySource.size > 0,
      bySource,
      shadowBySource,
    };
    compiled.set(policy, known);
  }
  return known;
}

/** L4 and L7 of one rule: without HTTP conditions anything over TCP passes, with them HTTP that meets one. */
export function covers(rule: AccessRule, call: InboundCall): boolean {
  if (!coversPort(rule, call.port)) return false;
  const { http } = rule;
  const { request } = call;
  return http === undefined || (request !== undefined && http.some((match) => matches(match, request)));
}

export function coversPort({ ports }: AccessRule, port: number): boolean {
  return ports === undefined || ports.includes(port);
}

/** Where may this request, or TCP connection, go, and in what shares? The first route that matches (DECISIONS S9). */
export function decideOutbound(service: OutboundService, request?: HttpRequest): OutboundDecision {
  const { routes } = service;
  const route = request
    ? routes.find(({ match }) => match === undefined || match.some((condition) => matches(condition, request)))
    : routes.at(-1);
  const origin = route?.origin && { origin: route.origin };
  const open = route?.backends.filter(({ excluded, weight }) => excluded === undefined && weight > 0) ?? [];
  const sum = open.reduce((total, { weight }) => total + weight, 0);
  if (sum === 0) return { kind: 'unavailable', ...origin };
  return { kind: 'route', ...origin, backends: open.map((backend) => ({ backend, share: backend.weight / sum })) };
}

/** The backend that a number from 0 (inclusive) to 1 (exclusive) falls to; undefined: there is none. */
export function pickBackend(decision: OutboundDecision, random: number): WeightedBackend | undefined {
  if (decision.kind === 'unavailable') return undefined;
  let rest = random;
  for (const { backend, share } of decision.backends) {
    rest -= share;
    if (rest < 0) return backend;
  }
  return decision.backends.at(-1)?.backend;
}
