import type { ServiceIdentity } from '../policy/identity.ts';
import type { ProxyPolicy } from '../policy/proxy-policy.ts';

/** The whole policy of a mesh at one moment. */
export interface MeshModel {
  /** By `namespace/name` of the pod. Policies of pods that differ in nothing are the same object. */
  readonly pods: ReadonlyMap<string, ProxyPolicy>;
  /**
   * The policy of a client that serves nothing and is no known pod (`tulle run`, `explain`): by identity, computed on demand,
   * the same object for the same identity until something that concerns it changes.
   */
  policyOf(identity: ServiceIdentity): ProxyPolicy;
}
