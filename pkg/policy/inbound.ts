import type { ServiceIdentity } from './identity.ts';
import type { HttpMatch } from './match.ts';
import type { Origin } from './origin.ts';

/** `permissive`: all pass. `shadow`: all pass, what would be denied is reported. `enforce`: only what a rule allows (DECISIONS S2). */
export type PolicyMode = 'permissive' | 'shadow' | 'enforce';

/** Anything but the two modes that let pass is the one that doesn't. */
export function isEnforced({ mode }: { readonly mode: PolicyMode }): boolean {
  return mode !== 'permissive' && mode !== 'shadow';
}

/** `http` speaks HTTP/1.1 or, with prior knowledge, HTTP/2. `tcp-server-first`: the server speaks first. */
export type AppProtocol = 'http' | 'grpc' | 'tcp' | 'tcp-server-first';

/** What one workload accepts. The same object for all pods with equal content. */
export interface InboundPolicy {
  readonly identity: ServiceIdentity;
  readonly mode: PolicyMode;
  /** Where `mode` was set: `namespace bookstore`, `mesh`, `default`. */
  readonly modeFrom: string;
  readonly ports: readonly InboundPort[];
  /** The union: a request is allowed when any one rule allows it (DECISIONS S3). */
  readonly rules: readonly AccessRule[];
}

/** One port of the workload that Services lead to. */
export interface InboundPort {
  /** The workload's own port (targetPort). */
  readonly port: number;
  readonly protocol: AppProtocol;
  /** Services that lead here, `namespace/name`, sorted. */
  readonly services: readonly string[];
}

/** One TrafficTarget's permission. allowed = source and L4 and L7, inside one rule (DECISIONS S3). */
export interface AccessRule {
  readonly origin: Origin;
  /** Sorted, never empty: a target without sources makes no rule. */
  readonly sources: readonly ServiceIdentity[];
  /** Workload ports; absent: any. */
  readonly ports?: readonly number[];
  /** Absent: anything over TCP. Present: HTTP only, one of these must match. Never empty. */
  readonly http?: readonly HttpMatch[];
  /** A rehearsal: grants nothing, and what it would grant is reported. */
  readonly shadow?: true;
}
