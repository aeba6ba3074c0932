import type { AppProtocol } from './inbound.ts';
import type { HttpMatch } from './match.ts';
import type { Origin } from './origin.ts';

/** `namespace/name:port` of a Service port: the key of an OutboundService. */
export type ServicePortKey = string;

/** Key of an EndpointSet: `namespace/name:port`, and `~<hash>` behind it when limited to some accounts (DECISIONS S10). */
export type EndpointSetKey = string;

/**
 * How to reach one port of one Service: the fragment that all clients with the same view share.
 * A change of weights, or of a route, re-sends this one and nothing else; endpoints travel apart.
 */
export interface OutboundService {
  readonly key: ServicePortKey;
  readonly namespace: string;
  readonly name: string;
  /** The Service's port. */
  readonly port: number;
  readonly protocol: AppProtocol;
  /** Virtual addresses (ClusterIPs); empty for a headless Service, whose endpoints are addressed directly. */
  readonly addresses: readonly string[];
  readonly headless: boolean;
  /** In order, the first that matches is taken; the last has no `match`. TCP uses the last one only. */
  readonly routes: readonly OutboundRoute[];
}

export interface OutboundRoute {
  /** Any of these; absent: every request. Never empty. */
  readonly match?: readonly HttpMatch[];
  /** The TrafficSplit, when there is one. */
  readonly origin?: Origin;
  /** In the order of the user's file. An empty list, or a zero sum of weights, is answered with 503. */
  readonly backends: readonly WeightedBackend[];
}

export interface WeightedBackend {
  /** Relative, a non-negative integer; 0 never takes traffic. */
  readonly weight: number;
  /** Service name of the backend, in the root's namespace. */
  readonly service: string;
  readonly port: number;
  readonly endpoints: EndpointSetKey;
  /** Set when it takes no share; the share goes to the others. `why` is for `explain`. */
  readonly excluded?: 'BackendNotFound' | 'BackendPortMissing' | 'ServiceUnsupported';
}
