import type { HubObject } from '../hub.ts';

/** TrafficTarget in its hub form: access v1alpha4, with the port of v1alpha1/2 kept (DECISIONS S1, S7). */
export interface TrafficTarget extends HubObject {
  readonly kind: 'TrafficTarget';
  readonly destination: IdentitySubject & {
    /** access v1alpha1/2 only: one more condition on the workload port. */
    readonly port?: number;
  };
  /** As many, and in the order, as the user wrote. */
  readonly rules: readonly TrafficTargetRule[];
  /** As many, and in the order, as the user wrote. */
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
  /** Could not be decoded and has its Problem already: it names nobody. Kept for its place in the list. */
  readonly broken?: true;
}

export interface TrafficTargetRule {
  /**
   * `HTTPRouteGroup`, `TCPRoute`, `UDPRoute`, or what the user wrote. A rule of an unknown kind may have been meant as
   * a restriction (a misspelt TCPRoute beside an HTTPRouteGroup), so with one the whole target grants nothing.
   */
  readonly kind: string;
  readonly name: string;
  /** Names of matches; absent: all of the group. Empty: none (the user's own empty list is decoded to absent, DECISIONS S4). */
  readonly matches?: readonly string[];
  /**
   * Could not be decoded and has its Problem already. Kept, because leaving it out could widen access: it counts as a
   * rule of its kind that covers no port and matches no request.
   */
  readonly broken?: true;
}
