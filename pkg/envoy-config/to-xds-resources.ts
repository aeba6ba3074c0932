import type { EndpointSet } from '../policy/endpoints.ts';
import type { ServiceIdentity } from '../policy/identity.ts';
import type { InboundPolicy } from '../policy/inbound.ts';
import type { EndpointSetKey, OutboundService } from '../policy/outbound.ts';
import type { DirectoryEntry, MeshSettings, ProxyPolicy, Reach } from '../policy/proxy-policy.ts';
import { nowhere, passthrough, toAppCluster, toEndpointsCluster, toTcpCluster } from './cluster.ts';
import { tcpBackends, toLoadAssignment, toTcpLoadAssignment } from './endpoint.ts';
import type { Cluster, ClusterLoadAssignment } from './envoy-cluster-types.ts';
import type { Listener } from './envoy-listener-types.ts';
import type { RouteConfiguration } from './envoy-route-types.ts';
import { isHttp, toInboundListeners } from './inbound-listener.ts';
import type { InboundListeners } from './inbound-listener.ts';
import type { InterceptionMode } from './interception.ts';
import { memoize } from './memo.ts';
import { toProxyResources } from './proxy-listener.ts';
import type { ProxyResources } from './proxy-listener.ts';
import { toOutboundDefault, toPodListeners, toVirtualListeners } from './outbound-listener.ts';
import { toInboundRoutes, toOutboundRoutes } from './route.ts';

/**
 * All that one Envoy is given, by type and name. Resources that did not change, and resources of other proxies with the
 * same policy, are the very same objects: encode by identity.
 */
export interface XdsResources {
  readonly listeners: ReadonlyMap<string, Listener>;
  readonly routes: ReadonlyMap<string, RouteConfiguration>;
  readonly clusters: ReadonlyMap<string, Cluster>;
  readonly endpoints: ReadonlyMap<string, ClusterLoadAssignment>;
  /**
   * Secrets beside `identity` and `roots`: validation contexts with the roots of the mesh and exactly these URI SANs,
   * none for an empty list. The roots are not policy, so whoever has them builds the secret.
   */
  readonly peers: ReadonlyMap<string, readonly ServiceIdentity[]>;
  /** For the next call, see `toXdsResources`. */
  readonly floors: InboundListeners['floors'];
}

/**
 * Translates a policy for Envoy. Total: whatever the policy says, the result is a configuration that Envoy takes.
 *
 * `previous`, what this proxy was given last, is optional: it keeps TCP connections open when a grant is added.
 */
export function toXdsResources(policy: ProxyPolicy, mode: InterceptionMode, previous?: XdsResources): XdsResources {
  const { inbound, reach, settings, directory } = policy;
  const appPorts = mode.inbound.kind === 'sockets' ? mode.inbound.appPorts : undefined;
  const into = toInboundListeners(inbound, settings, mode.inbound, previous?.floors);
  const out = toReachResources(reach, settings, mode.outbound);
  const door =
    mode.outbound.kind === 'proxy'
      ? toProxyResources(policy, mode.outbound)
      : toRedirectResources(directory, settings, mode.outbound);
  return {
    listeners: toMap([...into.listeners, ...out.listeners, ...door.listeners]),
    routes: toMap([...toInboundRouteList(inbound), ...out.routes, ...door.routes]),
    clusters: toMap([
      ...toAppClusters(inbound, settings.tracing.sampling, appPorts),
      ...out.clusters,
      ...door.clusters,
    ]),
    endpoints: out.endpoints,
    peers: into.peers,
    floors: into.floors,
  };
}

interface OutboundResources {
  readonly listeners: readonly Listener[];
  readonly routes: readonly RouteConfiguration[];
  readonly clusters: readonly Cluster[];
  readonly endpoints: ReadonlyMap<string, ClusterLoadAssignment>;
}

function toMap<T extends { readonly name: string }>(resources: readonly T[]): ReadonlyMap<string, T> {
  return new Map(resources.map((resource) => [resource.name, resource]));
}

const toInboundRouteList = memoize((inbound: InboundPolicy): readonly RouteConfiguration[] =>
  inbound.ports.filter(({ protocol }) => isHttp(protocol)).map((port) => toInboundRoutes(inbound, port)),
);

const appClusters = new Map<string, Cluster>();

/** There are few: one for each port number in use. */
function toAppClusters(
  inbound: InboundPolicy,
  sampling: number,
  appPorts: ReadonlyMap<number, number> | undefined,
): readonly Cluster[] {
  return inbound.ports.map(({ port, protocol }) => {
    const appPort = appPorts?.get(port) ?? port;
    const http = isHttp(protocol) ? { sampling } : undefined;
    const key = `${port}/${appPort}/${http?.sampling}`;
    const cluster = appClusters.get(key) ?? toAppCluster(port, appPort, http);
    appClusters.set(key, cluster);
    return cluster;
  });
}

/** What leads to each Service that may be reached; the same for all proxies with the same reach. */
const toReachResources = memoize(
  (reach: Reach, settings: MeshSettings, interception: InterceptionMode['outbound']): OutboundResources => {
    const listeners: Listener[] = [];
    const routes: RouteConfiguration[] = [];
    const clusters: Cluster[] = [passthrough, nowhere];
    const endpoints = new Map<string, ClusterLoadAssignment>();
    const headless = new Set<EndpointSetKey>();
    const httpSets = new Map<EndpointSetKey, EndpointSet>();
    for (const service of reach.outbound.values()) {
      if (isHttp(service.protocol)) {
        routes.push(routesOf(service));
        for (const key of service.routes.flatMap(({ backends }) => backends.map((backend) => backend.endpoints))) {
          const set = setOf(reach, key);
          httpSets.set(key, set);
          if (service.headless) headless.add(key);
        }
      } else {
        const sets = new Map(
          tcpBackends(service).map((backend) => [backend.endpoints, setOf(reach, backend.endpoints)]),
        );
        const tcp = tcpResourcesOf(service, ...sets.values());
        clusters.push(tcp.cluster);
        endpoints.set(tcp.endpoints.cluster_name, tcp.endpoints);
      }
      if (interception.kind === 'redirect') listeners.push(...listenersOf(service, reach, settings));
    }
    for (const [key, set] of httpSets) {
      clusters.push(headless.has(key) ? headlessClusterOf(set) : clusterOf(set));
      const assignment = loadAssignmentOf(set);
      endpoints.set(assignment.cluster_name, assignment);
    }
    return { listeners, routes, clusters, endpoints };
  },
);

const routesOf = memoize(toOutboundRoutes);
const clusterOf = memoize((set: EndpointSet) => toEndpointsCluster(set, false));
const headlessClusterOf = memoize((set: EndpointSet) => toEndpointsCluster(set, true));
const loadAssignmentOf = memoize(toLoadAssignment);
const virtualListenersOf = memoize(toVirtualListeners);
const podListenersOf = memoize(toPodListeners);

const tcpResourcesOf = memoize((service: OutboundService, ...sets: EndpointSet[]) => {
  const byKey = new Map(sets.map((set) => [set.key, set]));
  return {
    cluster: toTcpCluster(service, byKey),
    endpoints: toTcpLoadAssignment(service, byKey),
  };
});

const toRedirectResources = memoize(
  (
    directory: ReadonlyMap<string, DirectoryEntry>,
    settings: MeshSettings,
    interception: Extract<InterceptionMode['outbound'], { kind: 'redirect' }>,
  ): ProxyResources => {
    const { listener, routes } = toOutboundDefault(directory, settings, interception);
    return { listeners: [listener], routes: [routes], clusters: [] };
  },
);

function listenersOf(service: OutboundService, reach: Reach, settings: MeshSettings): readonly Listener[] {
  if (!service.headless) return virtualListenersOf(service, settings);
  const own = service.routes.at(-1)?.backends[0]?.endpoints;
  return own === undefined ? [] : podListenersOf(service, setOf(reach, own), settings);
}

const emptySets = new Map<EndpointSetKey, EndpointSet>();

/** A set that is not there leads nowhere: 503. */
function setOf(reach: Reach, key: EndpointSetKey): EndpointSet {
  const known = reach.endpoints.get(key) ?? emptySets.get(key) ?? { key, endpoints: [] };
  if (known.endpoints.length === 0) emptySets.set(key, known);
  return known;
}
