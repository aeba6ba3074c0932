import type { EndpointSet } from './endpoints.ts';
import type { ServiceIdentity } from './identity.ts';
import type { AppProtocol, InboundPolicy } from './inbound.ts';
import type { EndpointSetKey, OutboundService, ServicePortKey } from './outbound.ts';

/** Settings of the data plane that hold for the whole mesh: one shared resource. */
export interface MeshSettings {
  readonly trustDomain: string;
  /** `allow`: what is not of the mesh goes out as it is. `deny`: it is refused. */
  readonly egress: 'allow' | 'deny';
  readonly tracing: {
    /** 0 to 1. Decides where no decision arrives, from the trace id (DECISIONS E8). */
    readonly sampling: number;
  };
}

/**
 * A Service port of the mesh as everybody knows it: name and address, not how to reach it.
 * One shared list, the same for all proxies: what a proxy finds here and not among its
 * OutboundServices it denies with the reason itself (DECISIONS S11, E1).
 */
export interface DirectoryEntry {
  readonly key: ServicePortKey;
  readonly namespace: string;
  readonly name: string;
  readonly port: number;
  readonly protocol: AppProtocol;
  readonly addresses: readonly string[];
  readonly hostnames: readonly string[];
  /** Headless only: the pods by their own addresses and names, `mysql-0.mysql.bookwarehouse…`. */
  readonly pods?: readonly {
    readonly ip: string;
    readonly hostnames: readonly string[];
    /** The pod's own port; absent: the Service's. */
    readonly port?: number;
  }[];
}

/**
 * All that one proxy may accept and where it may send. Parts are shared by reference between
 * proxies: `outbound` and `endpoints` are the very same Map for all proxies with the same reach.
 */
export interface ProxyPolicy {
  readonly identity: ServiceIdentity;
  readonly settings: MeshSettings;
  readonly inbound: InboundPolicy;
  readonly reach: Reach;
  readonly directory: ReadonlyMap<ServicePortKey, DirectoryEntry>;
}

/** What a client may reach: interned, so that equal reach is the same object and is encoded once. */
export interface Reach {
  readonly outbound: ReadonlyMap<ServicePortKey, OutboundService>;
  readonly endpoints: ReadonlyMap<EndpointSetKey, EndpointSet>;
}
