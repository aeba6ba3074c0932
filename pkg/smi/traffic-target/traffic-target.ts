import type { HubObject } from '../hub.ts';

/** TrafficTarget in its hub form: access v1alpha4, with the port of v1alpha1/2 kept (DECISIONS S1, S7). */
export interface TrafficTarget extends HubObject {
  readonly kind: 'TrafficTarget';
  readonly destination: IdentitySubject & {
    /** access v1alpha1/2 only: one more condition on the workload port. */
    readonly port?: number;
  };
  readonly rules: readonly TrafficTargetRule[];
  readonly sources: readonly IdentitySubject[];
  /** Annotation `tulle.dev/mode: shadow`: grants nothing, reports what it would grant (DECISIONS S2). */
  readonly shadow: boolean;
}

export interface IdentitySubject {
  /** `ServiceAccount`, `IdentityBinding`, or what the user wrote: an unknown kind grants nothing. */
  readonly kind: string;
  readonly name: string;
  /** Defaults to the target's own namespace (DECISIONS S8). */
  readonly namespace: string;
}

export interface TrafficTargetRule {
  /** `HTTPRouteGroup`, `TCPRoute`, `UDPRoute`, or what the user wrote: an unknown kind grants nothing. */
  readonly kind: string;
  readonly name: string;
  /** Names of matches; absent: all of the group. An empty list is decoded to absent (DECISIONS S4). */
  readonly matches?: readonly string[];
}
