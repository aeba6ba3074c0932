import type { EndpointSet } from '../policy/endpoints.ts';
import type { EndpointSetKey, OutboundService } from '../policy/outbound.ts';
import type { Reach } from '../policy/proxy-policy.ts';
import { nowhere, passthrough, toEndpointsCluster, toTcpCluster } from './cluster.ts';
import { tcpBackends, toLoadAssignment, toTcpLoadAssignment } from './endpoint.ts';
import type { Cluster, ClusterLoadAssignment } from './envoy-cluster-types.ts';
import type { Listener } from './envoy-listener-types.ts';
import type { RouteConfiguration, ScopedRouteConfiguration } from './envoy-route-types.ts';
import type { OutboundInterception } from './interception.ts';
import { memoize } from './memo.ts';
import { toPodListeners, toVirtualListeners } from './outbound-listener.ts';
import { isHttp } from './protocol.ts';
import { toOutboundRoutes } from './route.ts';
import { toDialled, toPodScopes, toServiceScopes } from './scoped-route.ts';

/** What leads to each Service that may be reached. */
export interface ReachResources {
  readonly listeners: readonly Listener[];
  readonly routes: readonly RouteConfiguration[];
  readonly scopes: ReadonlyMap<string, ScopedRouteConfiguration>;
  readonly clusters: readonly Cluster[];
  readonly endpoints: ReadonlyMap<string, ClusterLoadAssignment>;
}

type Kind = OutboundInterception['kind'];

/**
 * The same for all proxies with the same reach. What each Service takes is made once: of a change of the reach one pass
 * over its Services is left.
 */
export const toReachResources = memoize((reach: Reach, { kind }: OutboundInterception): ReachResources => {
  const listeners: Listener[] = [];
  const routes: RouteConfiguration[] = [];
  const scopes = new Map<string, ScopedRouteConfiguration>();
  const clusters: Cluster[] = [passthrough, nowhere];
  const endpoints = new Map<string, ClusterLoadAssignment>();
  const backends = new Map<EndpointSetKey, Backend>();
  for (const service of reach.outbound.values()) {
    const own = resourcesOf(service, reach, kind);
    listeners.push(...own.listeners);
    routes.push(...own.routes);
    // Headless Services may share a pod: the first one has its address.
    for (const scope of own.scopes) if (!scopes.has(scope.name)) scopes.set(scope.name, scope);
    // Where some Service leads to its pods one by one, its cluster is one that knows them.
    for (const each of own.backends) if (backends.get(each.key)?.headless !== true) backends.set(each.key, each);
    if (own.tcp) {
      clusters.push(own.tcp.cluster);
      endpoints.set(own.tcp.assignment.cluster_name, own.tcp.assignment);
    }
  }
  for (const { cluster, assignment } of backends.values()) {
    clusters.push(cluster);
    endpoints.set(assignment.cluster_name, assignment);
  }
  return { listeners: onePerAddress(listeners, scopes), routes, scopes, clusters, endpoints };
});

/** Envoy takes one listener for an address, and refuses the rest of the push beside a second one. */
function onePerAddress(listeners: readonly Listener[], taken: { has(dialled: string): boolean }): readonly Listener[] {
  const dialled = new Set<string>();
  return listeners.filter(({ address }) => {
    const { address: ip = '', port_value: port = 0 } = address?.socket_address ?? {};
    const at = toDialled(ip, port);
    if (dialled.has(at) || taken.has(at)) return false;
    dialled.add(at);
    return true;
  });
}

/** What one Service port takes. */
interface ServiceResources {
  readonly listeners: readonly Listener[];
  readonly routes: readonly RouteConfiguration[];
  readonly scopes: readonly ScopedRouteConfiguration[];
  /** Of TCP, where one cluster has all backends. */
  readonly tcp?: { readonly cluster: Cluster; readonly assignment: ClusterLoadAssignment };
  /** Of HTTP; several Services may have the same ones. */
  readonly backends: readonly Backend[];
}

interface Backend {
  readonly key: EndpointSetKey;
  readonly headless: boolean;
  readonly cluster: Cluster;
  readonly assignment: ClusterLoadAssignment;
}

interface Known {
  readonly keys: readonly EndpointSetKey[];
  readonly sets: readonly EndpointSet[];
  readonly resources: ServiceResources;
}

/** The latest of each Service: endpoints come and go, and what was made of those before is of no use. */
const latest = { redirect: new WeakMap<OutboundService, Known>(), proxy: new WeakMap<OutboundService, Known>() };

function resourcesOf(service: OutboundService, reach: Reach, kind: Kind): ServiceResources {
  const known = latest[kind].get(service);
  if (known?.keys.every((key, i) => setOf(reach, key) === known.sets[i])) return known.resources;
  const keys = known?.keys ?? keysOf(service);
  const sets = keys.map((key) => setOf(reach, key));
  const resources = isHttp(service.protocol) ? toHttp(service, sets, kind) : toTcp(service, sets, kind);
  latest[kind].set(service, { keys, sets, resources });
  return resources;
}

/** All that it may lead to; the last route has its own pods. */
function keysOf(service: OutboundService): readonly EndpointSetKey[] {
  const backends = isHttp(service.protocol) ? service.routes.flatMap((each) => each.backends) : tcpBackends(service);
  return [...new Set(backends.map(({ endpoints }) => endpoints))];
}

function toHttp(service: OutboundService, sets: readonly EndpointSet[], kind: Kind): ServiceResources {
  const { headless } = service;
  return {
    listeners: [],
    routes: kind === 'proxy' ? [routesOf(service)] : [],
    scopes: kind === 'redirect' ? scopesOf(service, sets) : [],
    backends: sets.map((set) => ({
      key: set.key,
      headless,
      cluster: headless ? headlessClusterOf(set) : clusterOf(set),
      assignment: loadAssignmentOf(set),
    })),
  };
}

function toTcp(service: OutboundService, sets: readonly EndpointSet[], kind: Kind): ServiceResources {
  return {
    listeners: kind === 'redirect' ? listenersOf(service, sets) : [],
    routes: [],
    scopes: [],
    tcp: tcpResourcesOf(service, ...sets),
    backends: [],
  };
}

// Asked again when only the endpoints of a Service changed, and for each kind: what is the same must be the same object.
const routesOf = memoize(toOutboundRoutes);
const clusterOf = memoize((set: EndpointSet) => toEndpointsCluster(set, false));
const headlessClusterOf = memoize((set: EndpointSet) => toEndpointsCluster(set, true));
const loadAssignmentOf = memoize(toLoadAssignment);
const virtualListenersOf = memoize(toVirtualListeners);
const podListenersOf = memoize(toPodListeners);
const serviceScopesOf = memoize(toServiceScopes);
const podScopesOf = memoize(toPodScopes);

const tcpResourcesOf = memoize((service: OutboundService, ...sets: EndpointSet[]) => {
  const byKey = new Map(sets.map((set) => [set.key, set]));
  return { cluster: toTcpCluster(service, byKey), assignment: toTcpLoadAssignment(service, byKey) };
});

function listenersOf(service: OutboundService, sets: readonly EndpointSet[]): readonly Listener[] {
  if (!service.headless) return virtualListenersOf(service);
  const set = ownSet(service, sets);
  return set === undefined ? [] : podListenersOf(service, set);
}

function scopesOf(service: OutboundService, sets: readonly EndpointSet[]): readonly ScopedRouteConfiguration[] {
  if (!service.headless) return serviceScopesOf(service);
  const set = ownSet(service, sets);
  return set === undefined ? [] : podScopesOf(service, set);
}

/** The pods of a headless Service itself, whatever a split does with its name. */
function ownSet(service: OutboundService, sets: readonly EndpointSet[]): EndpointSet | undefined {
  const own = service.routes.at(-1)?.backends[0]?.endpoints;
  return sets.find(({ key }) => key === own);
}

const emptySets = new Map<EndpointSetKey, EndpointSet>();

/** A set that is not there leads nowhere: 503. */
function setOf(reach: Reach, key: EndpointSetKey): EndpointSet {
  const known = reach.endpoints.get(key) ?? emptySets.get(key) ?? { key, endpoints: [] };
  if (known.endpoints.length === 0) emptySets.set(key, known);
  return known;
}
