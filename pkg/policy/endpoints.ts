import type { ServiceIdentity } from './identity.ts';

/** Where a connection to an endpoint goes. On a laptop sidecars meet over unix sockets, in a cluster over IP. */
export type EndpointAddress =
  | { readonly kind: 'ip'; readonly ip: string; readonly port: number }
  | { readonly kind: 'pipe'; readonly path: string };

export interface Endpoint {
  readonly address: EndpointAddress;
  /** `namespace/name` of the pod. */
  readonly pod: string;
  /** What its certificate must say. Empty when it is not in the mesh. */
  readonly identity: ServiceIdentity | '';
  /** False: a peer without sidecar; clients speak plaintext to it (DECISIONS S11). */
  readonly meshed: boolean;
  /** Only ready endpoints take traffic; the others are kept for `explain`. */
  readonly ready: boolean;
  /** The pod's own address and port, as apps know it: headless clients dial it. */
  readonly ip?: string;
  /** DNS name of the pod behind a headless Service: `mysql-0`. */
  readonly hostname?: string;
  /** The workload's own port behind this endpoint (targetPort). */
  readonly port: number;
}

export interface EndpointSet {
  readonly key: string;
  readonly endpoints: readonly Endpoint[];
}
