import type { EndpointSet } from '../policy/endpoints.ts';
import type { ServiceIdentity } from '../policy/identity.ts';
import type { InboundPolicy } from '../policy/inbound.ts';
import type { EndpointSetKey, OutboundService } from '../policy/outbound.ts';
import type { DirectoryEntry, MeshSettings, ProxyPolicy, Reach } from '../policy/proxy-policy.ts';
import { nowhere, passthrough, toAppClusters, toEndpointsCluster, toTcpCluster } from './cluster.ts';
import { tcpBackends, toLoadAssignment, toTcpLoadAssignment } from './endpoint.ts';
import type { Cluster, ClusterLoadAssignment } from './envoy-cluster-types.ts';
import { toAddressBook } from './address-book.ts';
import type { ExtensionConfig, Listener } from './envoy-listener-types.ts';
import type { RouteConfiguration, ScopedRouteConfiguration } from './envoy-route-types.ts';
import { toInboundListeners } from './inbound-listener.ts';
import type { InboundListeners } from './inbound-listener.ts';
import type { InterceptionMode } from './interception.ts';
import { memoize } from './memo.ts';
import { toProxyResources } from './proxy-listener.ts';
import type { ProxyResources } from './proxy-listener.ts';
import { nobody, toOutboundListener, toPodListeners, toVirtualListeners } from './outbound-listener.ts';
import { isHttp } from './protocol.ts';
import { toInboundRoutes, toOutboundRoutes } from './route.ts';
import { toDeniedScopes, toDialled, toPodScopes, toServiceScopes } from './scoped-route.ts';

/**
 * All that one Envoy is given, by type and name. Resources that did not change, and resources of other proxies with the
 * same policy, are the very same objects: encode by identity.
 */
export interface XdsResources {
  readonly listeners: ReadonlyMap<string, Listener>;
  readonly routes: ReadonlyMap<string, RouteConfiguration>;
  /** By dialled address: what may be reached. */
  readonly scopes: ReadonlyMap<string, ScopedRouteConfiguration>;
  /** By dialled address: 403 for everything in the mesh, the same map for all; where there is a scope, that holds. */
  readonly refusals: ReadonlyMap<string, ScopedRouteConfiguration>;
  /** The same map for all. */
  readonly extensions: ReadonlyMap<string, ExtensionConfig>;
  readonly clusters: ReadonlyMap<string, Cluster>;
  readonly endpoints: ReadonlyMap<string, ClusterLoadAssignment>;
  /**
   * Secrets beside `identity` and `roots`: validation contexts with the roots of the mesh and exactly these URI SANs,
   * none for an empty list. The roots are not policy, so whoever has them builds the secret.
   */
  readonly peers: ReadonlyMap<string, readonly ServiceIdentity[]>;
  /** For the next call, see `toXdsResources`. */
  readonly tcpChains: InboundListeners['tcpChains'];
}

/**
 * Translates a policy for Envoy. Total: whatever the policy says, the result is a configuration that Envoy takes.
 *
 * `previous`, what this proxy was given last, is there once it was given something: with it TCP connections stay open
 * when a grant is added, and close when one goes (tcp-chain.ts).
 */
export function toXdsResources(policy: ProxyPolicy, mode: InterceptionMode, previous?: XdsResources): XdsResources {
  const { inbound, reach, settings, directory } = policy;
  const appPorts = mode.inbound.kind === 'sockets' ? mode.inbound.appPorts : undefined;
  const into = toInboundListeners(inbound, settings, mode.inbound, previous?.tcpChains);
  const out = toReachResources(reach, mode.outbound);
  const door =
    mode.outbound.kind === 'proxy'
      ? { ...toProxyResources(policy, mode.outbound), refusals: none, extensions: none }
      : toRedirectResources(directory, settings, mode.outbound);
  return {
    listeners: toMap([...into.listeners, ...out.listeners, ...door.listeners, nobody]),
    routes: toMap([
      ...toInboundRouteList(inbound, settings),
      ...(mode.outbound.kind === 'proxy' ? out.routes : []),
      ...door.routes,
    ]),
    scopes: out.scopes,
    refusals: door.refusals,
    extensions: door.extensions,
    clusters: toMap([
      ...toInboundClusters(inbound, settings.tracing.sampling, appPorts),
      ...out.clusters,
      ...door.clusters,
    ]),
    endpoints: out.endpoints,
    peers: into.peers,
    tcpChains: into.tcpChains,
  };
}

const none: ReadonlyMap<string, never> = new Map<string, never>();

interface OutboundResources {
  readonly listeners: readonly Listener[];
  readonly routes: readonly RouteConfiguration[];
  readonly scopes: ReadonlyMap<string, ScopedRouteConfiguration>;
  readonly clusters: readonly Cluster[];
  readonly endpoints: ReadonlyMap<string, ClusterLoadAssignment>;
}

function toMap<T extends { readonly name: string }>(resources: readonly T[]): ReadonlyMap<string, T> {
  return new Map(resources.map((resource) => [resource.name, resource]));
}

const toInboundRouteList = memoize((inbound: InboundPolicy, { tracing }: MeshSettings): readonly RouteConfiguration[] =>
  inbound.ports
    .filter(({ protocol }) => isHttp(protocol))
    .map((port) => toInboundRoutes(inbound, port, tracing.sampling)),
);

const appClusters = new Map<string, readonly Cluster[]>();

/** There are few: one for each port number in use. */
function toInboundClusters(
  inbound: InboundPolicy,
  sampling: number,
  appPorts: ReadonlyMap<number, number> | undefined,
): readonly Cluster[] {
  return inbound.ports.flatMap(({ port, protocol }) => {
    const appPort = appPorts?.get(port) ?? port;
    const http = isHttp(protocol) ? { sampling } : undefined;
    const key = `${port}/${appPort}/${http?.sampling}`;
    const clusters = appClusters.get(key) ?? toAppClusters(port, appPort, http);
    appClusters.set(key, clusters);
    return clusters;
  });
}

/** What leads to each Service that may be reached; the same for all proxies with the same reach. */
const toReachResources = memoize((reach: Reach, interception: InterceptionMode['outbound']): OutboundResources => {
  const listeners: Listener[] = [];
  const routes: RouteConfiguration[] = [];
  const scopes = new Map<string, ScopedRouteConfiguration>();
  const dialled = new Set<string>();
  const redirects = interception.kind === 'redirect';
  const clusters: Cluster[] = [passthrough, nowhere];
  const endpoints = new Map<string, ClusterLoadAssignment>();
  const headless = new Set<EndpointSetKey>();
  const httpSets = new Map<EndpointSetKey, EndpointSet>();
  for (const service of reach.outbound.values()) {
    if (isHttp(service.protocol)) {
      if (redirects) {
        // Headless Services may share a pod: the first one has its address.
        for (const scope of scopesOf(service, reach)) if (!scopes.has(scope.name)) scopes.set(scope.name, scope);
      } else routes.push(routesOf(service));
      for (const key of service.routes.flatMap(({ backends }) => backends.map((backend) => backend.endpoints))) {
        const set = setOf(reach, key);
        httpSets.set(key, set);
        if (service.headless) headless.add(key);
      }
    } else {
      const sets = new Map(tcpBackends(service).map((backend) => [backend.endpoints, setOf(reach, backend.endpoints)]));
      const tcp = tcpResourcesOf(service, ...sets.values());
      clusters.push(tcp.cluster);
      endpoints.set(tcp.endpoints.cluster_name, tcp.endpoints);
    }
  }
  if (redirects) {
    for (const listener of [...reach.outbound.values()].flatMap((service) => listenersOf(service, reach))) {
      const { address = '', port_value: port = 0 } = listener.address?.socket_address ?? {};
      const at = toDialled(address, port);
      // Envoy takes one listener for an address, and refuses the rest of the push beside a second one.
      if (dialled.has(at) || scopes.has(at)) continue;
      dialled.add(at);
      listeners.push(listener);
    }
  }
  for (const [key, set] of httpSets) {
    clusters.push(headless.has(key) ? headlessClusterOf(set) : clusterOf(set));
    const assignment = loadAssignmentOf(set);
    endpoints.set(assignment.cluster_name, assignment);
  }
  return { listeners, routes, scopes, clusters, endpoints };
});

const routesOf = memoize(toOutboundRoutes);
const clusterOf = memoize((set: EndpointSet) => toEndpointsCluster(set, false));
const headlessClusterOf = memoize((set: EndpointSet) => toEndpointsCluster(set, true));
const loadAssignmentOf = memoize(toLoadAssignment);
const virtualListenersOf = memoize(toVirtualListeners);
const podListenersOf = memoize(toPodListeners);
const serviceScopesOf = memoize(toServiceScopes);
const podScopesOf = memoize(toPodScopes);
const deniedScopesOf = memoize(toDeniedScopes);

const tcpResourcesOf = memoize((service: OutboundService, ...sets: EndpointSet[]) => {
  const byKey = new Map(sets.map((set) => [set.key, set]));
  return {
    cluster: toTcpCluster(service, byKey),
    endpoints: toTcpLoadAssignment(service, byKey),
  };
});

type Directory = ReadonlyMap<string, DirectoryEntry>;

interface DoorResources extends ProxyResources {
  readonly refusals: XdsResources['refusals'];
  readonly extensions: XdsResources['extensions'];
}

const toRedirectResources = memoize(
  (
    directory: Directory,
    settings: MeshSettings,
    interception: Extract<InterceptionMode['outbound'], { kind: 'redirect' }>,
  ): DoorResources => {
    return {
      ...toSharedResources(directory),
      listeners: [outboundListenerOf(settings, interception)],
      routes: [],
      clusters: [],
    };
  },
);

const outboundListenerOf = memoize(toOutboundListener);

/** One and the same for all proxies. */
const toSharedResources = memoize((directory: Directory): Pick<DoorResources, 'refusals' | 'extensions'> => {
  const refusals = new Map<string, ScopedRouteConfiguration>();
  for (const entry of directory.values()) {
    if (isHttp(entry.protocol)) for (const scope of deniedScopesOf(entry)) refusals.set(scope.name, scope);
  }
  return { refusals, extensions: toMap(toAddressBook(directory.values())) };
});

function listenersOf(service: OutboundService, reach: Reach): readonly Listener[] {
  if (isHttp(service.protocol)) return [];
  if (!service.headless) return virtualListenersOf(service);
  const set = ownSet(service, reach);
  return set === undefined ? [] : podListenersOf(service, set);
}

function scopesOf(service: OutboundService, reach: Reach): readonly ScopedRouteConfiguration[] {
  if (!service.headless) return serviceScopesOf(service);
  const set = ownSet(service, reach);
  return set === undefined ? [] : podScopesOf(service, set);
}

/** The pods of a headless Service itself, whatever a split does with its name. */
function ownSet(service: OutboundService, reach: Reach): EndpointSet | undefined {
  const own = service.routes.at(-1)?.backends[0]?.endpoints;
  return own === undefined ? undefined : setOf(reach, own);
}

const emptySets = new Map<EndpointSetKey, EndpointSet>();

/** A set that is not there leads nowhere: 503. */
function setOf(reach: Reach, key: EndpointSetKey): EndpointSet {
  const known = reach.endpoints.get(key) ?? emptySets.get(key) ?? { key, endpoints: [] };
  if (known.endpoints.length === 0) emptySets.set(key, known);
  return known;
}
