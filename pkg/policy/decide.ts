import type { ServiceIdentity } from './identity.ts';
import type { InboundPolicy } from './inbound.ts';
import type { HttpRequest } from './match.ts';
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

export type DecideInbound = (policy: InboundPolicy, call: InboundCall) => InboundVerdict;
export type DecideOutbound = (service: OutboundService, request?: HttpRequest) => OutboundDecision;
