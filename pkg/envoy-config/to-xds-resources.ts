import type { ServiceIdentity } from '../policy/identity.ts';
import type { InboundPolicy } from '../policy/inbound.ts';
import type { DirectoryEntry, MeshSettings, ProxyPolicy } from '../policy/proxy-policy.ts';
import { ownAddress, toAppClusters } from './cluster.ts';
import type { Cluster, ClusterLoadAssignment } from './envoy-cluster-types.ts';
import { toAddressBook } from './address-book.ts';
import type { ExtensionConfig, Listener } from './envoy-listener-types.ts';
import type { RouteConfiguration, ScopedRouteConfiguration } from './envoy-route-types.ts';
import { toInboundListeners } from './inbound-listener.ts';
import type { InboundListeners } from './inbound-listener.ts';
import type { InterceptionMode } from './interception.ts';
import { createFlatMap, memoize } from './memo.ts';
import { type Named, toNamed } from './names.ts';
import { toProxyResources } from './proxy-listener.ts';
import type { ProxyResources } from './proxy-listener.ts';
import { nobody, toOutboundListener } from './outbound-listener.ts';
import { isHttp } from './protocol.ts';
import { toReachResources } from './reach-resources.ts';
import { toInboundRoutes } from './route.ts';
import { toDeniedScopes } from './scoped-route.ts';
import { noChains } from './tcp-chain.ts';

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
  const into = toInboundListeners(inbound, settings, mode.inbound, previous?.tcpChains ?? noChains);
  const out = toReachResources(reach, mode.outbound);
  const door =
    mode.outbound.kind === 'proxy'
      ? { ...toProxyResources(policy, mode.outbound), refusals: none, extensions: none }
      : toRedirectResources(directory, settings, mode.outbound);
  return {
    listeners: listenersOf(into.listeners, out.listeners, door.listeners, last),
    routes: routesOf(toInboundRouteList(inbound, settings), out.routes, door.routes),
    scopes: out.scopes,
    refusals: door.refusals,
    extensions: door.extensions,
    clusters: clustersOf(
      toInboundClusters(inbound, settings.tracing.sampling, mode.inbound),
      out.clusters,
      door.clusters,
    ),
    endpoints: out.endpoints,
    peers: into.peers,
    tcpChains: into.tcpChains,
  };
}

const none: ReadonlyMap<string, never> = new Map<string, never>();
const last: readonly Listener[] = [nobody];

type Lists<T> = [readonly T[], ...(readonly T[])[]];

// The same map for the same lists: those of all clusters are shared by proxies with the same ports and the same reach.
const listenersOf = memoize((...lists: Lists<Listener>) => toMap(lists));
const routesOf = memoize((...lists: Lists<RouteConfiguration>) => toMap(lists));
const clustersOf = memoize(
  (
    own: readonly Cluster[],
    reached: readonly Named<Cluster>[],
    more: readonly Cluster[],
  ): ReadonlyMap<string, Cluster> => new Map([...own.map(toNamed), ...reached, ...more.map(toNamed)]),
);

function toMap<T extends { readonly name: string }>(lists: readonly (readonly T[])[]): ReadonlyMap<string, T> {
  return new Map(lists.flat().map(toNamed));
}

const toInboundRouteList = memoize((inbound: InboundPolicy, { tracing }: MeshSettings): readonly RouteConfiguration[] =>
  inbound.ports
    .filter(({ protocol }) => isHttp(protocol))
    .map((port) => toInboundRoutes(inbound, port, tracing.sampling)),
);

const appClusters = new Map<string, readonly Cluster[]>();
const maxAppClusters = 10_000;

/** The same list for the same ports, whatever the workload. */
function toInboundClusters(
  inbound: InboundPolicy,
  sampling: number,
  interception: InterceptionMode['inbound'],
): readonly Cluster[] {
  const isRedirect = interception.kind === 'redirect';
  const appPorts = isRedirect ? undefined : interception.appPorts;
  const ports = inbound.ports.map(({ port, protocol }) => {
    const appPort = appPorts?.get(port) ?? port;
    const http = isHttp(protocol) ? { sampling } : undefined;
    return { key: `${port}/${appPort}/${http?.sampling}`, make: () => toAppClusters(port, appPort, http) };
  });
  const all = ports.map(({ key }) => key).join(' ');
  return sharedClusters(`${interception.kind} ${all}`, () => [
    ...ports.flatMap(({ key, make }) => sharedClusters(key, make)),
    ...(isRedirect ? [ownAddress] : []),
  ]);
}

function sharedClusters(key: string, make: () => readonly Cluster[]): readonly Cluster[] {
  const clusters = appClusters.get(key) ?? make();
  // On a laptop, the port that an app listens on is another one each time.
  if (appClusters.size >= maxAppClusters) appClusters.clear();
  appClusters.set(key, clusters);
  return clusters;
}

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
const deniedScopesOf = memoize(toDeniedScopes);

/** One and the same for all proxies. */
const toSharedResources = memoize((directory: Directory): Pick<DoorResources, 'refusals' | 'extensions'> => {
  const entries = [...directory.values()];
  return { refusals: new Map(refusalsOf(entries)), extensions: toMap([toAddressBook(entries)]) };
});

const refusalsOf = createFlatMap((entry: DirectoryEntry) =>
  isHttp(entry.protocol) ? deniedScopesOf(entry).map(toNamed) : [],
);
