import { secretType, tulleTypes } from './resources.ts';

export const envoyTypes = {
  cluster: 'type.googleapis.com/envoy.config.cluster.v3.Cluster',
  endpoints: 'type.googleapis.com/envoy.config.endpoint.v3.ClusterLoadAssignment',
  listener: 'type.googleapis.com/envoy.config.listener.v3.Listener',
  route: 'type.googleapis.com/envoy.config.route.v3.RouteConfiguration',
  scopedRoute: 'type.googleapis.com/envoy.config.route.v3.ScopedRouteConfiguration',
  extension: 'type.googleapis.com/envoy.config.core.v3.TypedExtensionConfig',
} as const;

/** How resources of one type travel beside the others (xDS protocol, "Eventual consistency considerations"; DECISIONS E6). */
export interface TypeTraits {
  /** Lower goes first. */
  readonly order: number;
  /** A first request without names asks for everything. */
  readonly wildcardWhenEmpty: boolean;
  /** A state-of-the-world response must hold everything subscribed to, not only what changed. */
  readonly fullState: boolean;
  /** What refers to this type: nothing is removed before these are up to date (make before break). */
  readonly referredBy: readonly string[];
  /** Waits until these are acknowledged: the proxy would else meet a reference to what it is still warming. */
  readonly after: readonly string[];
  /** With each changed resource, that of the same name and this type is sent again: Envoy waits 15 s for it else. */
  readonly resends?: string;
}

const { cluster, endpoints, listener, route, scopedRoute, extension } = envoyTypes;
const everything = { wildcardWhenEmpty: true, fullState: true, referredBy: [], after: [] };
const named = { wildcardWhenEmpty: false, fullState: false, referredBy: [], after: [] };

const traits: Readonly<Record<string, TypeTraits>> = {
  [secretType]: { ...named, order: 0 },
  [tulleTypes.settings]: { ...everything, order: 1 },
  [tulleTypes.directory]: { ...everything, order: 2 },
  [cluster]: { ...everything, order: 3, referredBy: [listener, route, scopedRoute], resends: endpoints },
  [endpoints]: { ...named, order: 4, referredBy: [listener, route, scopedRoute] },
  [tulleTypes.endpoints]: { ...everything, order: 4, referredBy: [tulleTypes.outbound] },
  // Behind what they wait for, so that it is settled by then; before the listeners that choose among them, and gone after.
  [scopedRoute]: { ...everything, order: 4.5, referredBy: [listener, extension], after: [cluster, endpoints] },
  [extension]: { ...named, order: 4.6 },
  [listener]: { ...everything, order: 5, after: [cluster, endpoints] },
  [tulleTypes.outbound]: { ...everything, order: 5 },
  [route]: { ...named, order: 6, after: [cluster, endpoints] },
  [tulleTypes.inbound]: { ...everything, order: 6 },
};

/** Undefined: a type that nobody serves. */
export function traitsOf(typeUrl: string): TypeTraits | undefined {
  return Object.hasOwn(traits, typeUrl) ? traits[typeUrl] : undefined;
}
