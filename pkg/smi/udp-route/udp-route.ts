import type { HubObject } from '../hub.ts';

/** UDPRoute in its hub form: specs v1alpha4. */
export interface UDPRoute extends HubObject {
  readonly kind: 'UDPRoute';
  /**
   * Ports of the workload; absent: all (empty or absent in the object, and every version before v1alpha4).
   * Empty: none, since what the user wrote could not be decoded and has its Problem already.
   */
  readonly ports?: readonly number[];
}
