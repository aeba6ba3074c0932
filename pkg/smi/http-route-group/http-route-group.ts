import type { HubObject } from '../hub.ts';

/** HTTPRouteGroup in its hub form: specs v1alpha4. */
export interface HTTPRouteGroup extends HubObject {
  readonly kind: 'HTTPRouteGroup';
  readonly matches: readonly HTTPRouteGroupMatch[];
}

/** All that is given must hold. A match whose decoding failed is not here: it grants nothing. */
export interface HTTPRouteGroupMatch {
  readonly name: string;
  /** Place in `spec.matches`, for problems. */
  readonly index: number;
  /** RE2, as the user wrote it. Absent: any path. */
  readonly pathRegex?: string;
  /** Absent: any method (`*` anywhere in the list, or an empty list, is decoded to absent). */
  readonly methods?: readonly string[];
  /** Both wire shapes decode to this; two entries of one name must both hold. Names are lower case. */
  readonly headers?: readonly { readonly name: string; readonly value: string }[];
}
