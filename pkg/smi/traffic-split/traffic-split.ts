import type { HubObject } from '../hub.ts';

/** TrafficSplit in its hub form: split v1alpha4. */
export interface TrafficSplit extends HubObject {
  readonly kind: 'TrafficSplit';
  /** The root as written; `rootServiceOf` reads its spelling (DECISIONS S9). */
  readonly service: string;
  readonly backends: readonly TrafficSplitBackend[];
  /**
   * HTTPRouteGroups of the split's namespace; absent: all requests are split. Empty: none is, since what the user wrote
   * could not be decoded and has its Problem already.
   */
  readonly matches?: readonly TrafficSplitMatch[];
}

export interface TrafficSplitMatch {
  readonly kind: string;
  readonly name: string;
  /** Could not be decoded and has its Problem already: it matches no request. Kept for its place in the list. */
  readonly broken?: true;
}

export interface TrafficSplitBackend {
  readonly service: string;
  /** Place in `spec.backends`, for problems. */
  readonly index: number;
  /** Non-negative integer, relative. v1alpha1 quantities are scaled by one common factor. */
  readonly weight: number;
}
