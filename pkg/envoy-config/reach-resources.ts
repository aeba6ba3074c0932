import type { EndpointSet } from '../policy/endpoints.ts';
import type { EndpointSetKey, OutboundService } from '../policy/outbound.ts';
import type { Reach } from '../policy/proxy-policy.ts';
import { nowhere, passthrough, toEndpointsCluster, toTcpCluster } from './cluster.ts';
import { tcpBackends, toLoadAssignment, toTcpLoadAssignment } from './endpoint.ts';
import type { Cluster, ClusterLoadAssignment } from './envoy-cluster-types.ts';
import type { Listener } from './envoy-listener-types.ts';
import type { RouteConfiguration, ScopedRouteConfiguration } from './envoy-route-types.ts';
import type { OutboundInterception } from './interception.ts';
import { changeOf, createFlatMap, memoize } from './memo.ts';
import { type Named, toNamed } from './names.ts';
import { toPodListeners, toVirtualListeners } from './outbound-listener.ts';
import { isHttp } from './protocol.ts';
import { toOutboundRoutes } from './route.ts';
import { toDialled, toPodScopes, toServiceScopes } from './scoped-route.ts';

/** What leads to each Service that may be reached. */
export interface ReachResources {
  readonly listeners: readonly Listener[];
  readonly routes: readonly RouteConfiguration[];
  readonly scopes: ReadonlyMap<string, ScopedRouteConfiguration>;
  readonly clusters: readonly Named<Cluster>[];
  readonly endpoints: ReadonlyMap<string, ClusterLoadAssignment>;
}

type Kind = OutboundInterception['kind'];

/** The same for all proxies with the same reach. */
export const toReachResources = memoize((reach: Reach, { kind }: OutboundInterception) => followers[kind](reach));

const followers = { redirect: createFollower('redirect'), proxy: createFollower('proxy') };

/**
 * Remembers the reach that it was given last: where one Service comes among hundreds, the others are not looked at. The
 * result depends on the reach alone.
 */
function createFollower(kind: Kind): (reach: Reach) => ReachResources {
  const followServices = createServiceFollower(kind);
  const allListeners = createFlatMap((each: ServiceResources) => each.listeners);
  const allPodListeners = createFlatMap((each: ServiceResources) => each.podListeners);
  const allRoutes = createFlatMap((each: ServiceResources) => each.routes);
  const allScopes = createFlatMap((each: ServiceResources) => each.scopes);
  const allPodScopes = createFlatMap((each: ServiceResources) => each.podScopes);
  const tcpClusters = createFlatMap(({ tcp }: ServiceResources) => tcp.clusters);
  const tcpEndpoints = createFlatMap(({ tcp }: ServiceResources) => tcp.endpoints);
  const httpClusters = createFlatMap(({ http }: ServiceResources) => http.clusters);
  const podClusters = createFlatMap(({ http }: ServiceResources) => http.podClusters);
  const httpEndpoints = createFlatMap(({ http }: ServiceResources) => http.endpoints);
  return (reach) => {
    const all = followServices(reach);
    const [ofServices, ofPods] = [allScopes(all), allPodScopes(all)];
    const scopes = toFirst(ofServices, ofPods);
    return {
      listeners: onePerAddress(
        allListeners(all),
        ofPods.length === 0 ? scopes : toFirst(ofServices, none),
        allPodListeners(all),
        scopes,
      ),
      routes: allRoutes(all),
      scopes,
      // Where some Service leads to its pods one by one, its cluster is one that knows them.
      clusters: toClusters(tcpClusters(all), httpClusters(all), podClusters(all)),
      endpoints: toEndpoints(tcpEndpoints(all), httpEndpoints(all)),
    };
  };
}

const outside = [passthrough, nowhere].map(toNamed);

// What is made of the same lists is the same object: where endpoints alone change, all the rest stays.
const toClusters = memoize((tcp: List<Cluster>, http: List<Cluster>, ofPods: List<Cluster>): List<Cluster> => {
  return [...outside, ...tcp, ...http, ...ofPods];
});
const toEndpoints = memoize((tcp: List<ClusterLoadAssignment>, http: List<ClusterLoadAssignment>) => {
  return new Map([...tcp, ...http]);
});

/**
 * Headless Services may share a pod: the first one has its address. None has that of another Service: what its endpoints
 * are may be written by hand.
 */
const toFirst = memoize((ofServices: List<ScopedRouteConfiguration>, ofPods: List<ScopedRouteConfiguration>) => {
  const scopes = [...ofServices, ...ofPods];
  const map = new Map(scopes);
  return map.size === scopes.length ? map : new Map([...scopes, ...scopes.toReversed()]);
});

const none: List<never> = [];

type List<T> = readonly Named<T>[];

type Taken = { has(dialled: string): boolean };

/** Envoy takes one listener for an address, and refuses the rest of the push beside a second one. */
const onePerAddress = memoize(
  (
    ofServices: readonly Listener[],
    taken: Taken,
    ofPods: readonly Listener[],
    takenForPods: Taken,
  ): readonly Listener[] => {
    const dialled = new Set<string>();
    const isFree = ({ address }: Listener, by: Taken): boolean => {
      const { address: ip = '', port_value: port = 0 } = address?.socket_address ?? {};
      const at = toDialled(ip, port);
      if (dialled.has(at) || by.has(at)) return false;
      dialled.add(at);
      return true;
    };
    return [
      ...ofServices.filter((listener) => isFree(listener, taken)),
      ...ofPods.filter((listener) => isFree(listener, takenForPods)),
    ];
  },
);

/** What one Service port takes. Several Services may lead to the same clusters. */
interface ServiceResources {
  readonly listeners: readonly Listener[];
  /** At addresses of pods. */
  readonly podListeners: readonly Listener[];
  readonly routes: readonly RouteConfiguration[];
  readonly scopes: readonly Named<ScopedRouteConfiguration>[];
  readonly podScopes: readonly Named<ScopedRouteConfiguration>[];
  readonly tcp: Destinations;
  /** `podClusters`: in the place of those that do not know single pods. */
  readonly http: Destinations & { readonly podClusters: readonly Named<Cluster>[] };
}

interface Destinations {
  readonly clusters: readonly Named<Cluster>[];
  readonly endpoints: readonly Named<ClusterLoadAssignment>[];
}

const nothing: ServiceResources = {
  listeners: [],
  podListeners: [],
  routes: [],
  scopes: [],
  podScopes: [],
  tcp: { clusters: [], endpoints: [] },
  http: { clusters: [], podClusters: [], endpoints: [] },
};

/** For each Service of a reach what it takes: made again where it, or one of the sets that it leads to, is another one. */
function createServiceFollower(kind: Kind): (reach: Reach) => readonly ServiceResources[] {
  let services: readonly OutboundService[] = [];
  let sets: readonly EndpointSet[] = [];
  let resources: readonly ServiceResources[] = [];
  /** Which of these Services lead to a set. */
  const users = new Map<EndpointSetKey, readonly OutboundService[]>();

  return (reach) => {
    const [nextServices, nextSets] = [[...reach.outbound.values()], [...reach.endpoints.values()]];
    const { gone, fresh, start, end } = changeOf(services, nextServices);
    const made = fresh.map((service) => resourcesOf(service, reach, kind));
    const next = [...resources.slice(0, start), ...made, ...resources.slice(resources.length - end)];
    const change = changeOf(sets, nextSets);
    const isGone = new Set(gone);
    const [before, after] = [new Set(change.gone), new Set(change.fresh)];
    // Between two that changed there may be many that did not.
    const changed = [
      ...change.gone.filter((set) => !after.has(set)),
      ...change.fresh.filter((set) => !before.has(set)),
    ];
    let places: ReadonlyMap<OutboundService, number> | undefined;
    for (const key of new Set(changed.map((set) => set.key))) {
      for (const user of users.get(key) ?? []) {
        if (isGone.has(user)) continue;
        places ??= new Map(nextServices.map((service, place) => [service, place]));
        next[places.get(user) as number] = resourcesOf(user, reach, kind);
      }
    }
    for (const service of gone) {
      for (const key of keysOf(service)) {
        const left = users.get(key)?.filter((user) => user !== service) ?? [];
        if (left.length > 0) users.set(key, left);
        else users.delete(key);
      }
    }
    for (const service of fresh) {
      for (const key of keysOf(service)) users.set(key, [...(users.get(key) ?? []), service]);
    }
    [services, sets, resources] = [nextServices, nextSets, next];
    return next;
  };
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
  const clusters = sets.map((set) => (service.headless ? podClusterOf(set) : clusterOf(set)));
  return {
    ...nothing,
    routes: kind === 'proxy' ? [routesOf(service)] : [],
    ...(kind === 'redirect' ? scopesOf(service, sets) : {}),
    http: { clusters, podClusters: service.headless ? clusters : [], endpoints: sets.map((set) => endpointsOf(set)) },
  };
}

function toTcp(service: OutboundService, sets: readonly EndpointSet[], kind: Kind): ServiceResources {
  const listeners = kind === 'redirect' ? listenersOf(service, sets) : {};
  return { ...nothing, ...listeners, tcp: tcpDestinationsOf(service, ...sets) };
}

// Asked again when only the endpoints of a Service changed, and for each kind: what is the same must be the same object.
const routesOf = memoize(toOutboundRoutes);
const clusterOf = memoize((set: EndpointSet) => toNamed(toEndpointsCluster(set, false)));
const podClusterOf = memoize((set: EndpointSet) => toNamed(toEndpointsCluster(set, true)));
const endpointsOf = memoize((set: EndpointSet) => byCluster(toLoadAssignment(set)));
const virtualListenersOf = memoize(toVirtualListeners);
const podListenersOf = memoize(toPodListeners);
const serviceScopesOf = memoize((service: OutboundService) => toServiceScopes(service).map(toNamed));
const podScopesOf = memoize((service: OutboundService, set: EndpointSet) => toPodScopes(service, set).map(toNamed));

const tcpDestinationsOf = memoize((service: OutboundService, ...sets: EndpointSet[]): Destinations => {
  const byKey = new Map(sets.map((set) => [set.key, set]));
  return {
    clusters: [toNamed(toTcpCluster(service, byKey))],
    endpoints: [byCluster(toTcpLoadAssignment(service, byKey))],
  };
});

function byCluster(assignment: ClusterLoadAssignment): Named<ClusterLoadAssignment> {
  return [assignment.cluster_name, assignment];
}

function listenersOf(service: OutboundService, sets: readonly EndpointSet[]): Partial<ServiceResources> {
  if (!service.headless) return { listeners: virtualListenersOf(service) };
  const set = ownSet(service, sets);
  return set === undefined ? {} : { podListeners: podListenersOf(service, set) };
}

function scopesOf(service: OutboundService, sets: readonly EndpointSet[]): Partial<ServiceResources> {
  if (!service.headless) return { scopes: serviceScopesOf(service) };
  const set = ownSet(service, sets);
  return set === undefined ? {} : { podScopes: podScopesOf(service, set) };
}

/** The pods of a headless Service itself, whatever a split does with its name. */
function ownSet(service: OutboundService, sets: readonly EndpointSet[]): EndpointSet | undefined {
  const own = service.routes.at(-1)?.backends[0]?.endpoints;
  return sets.find(({ key }) => key === own);
}

const emptySets = new Map<EndpointSetKey, EndpointSet>();
/** Services come and go under ever new names; one that is forgotten is made anew. */
const mostEmptySets = 20_000;

/** A set that is not there leads nowhere: 503. */
function setOf(reach: Reach, key: EndpointSetKey): EndpointSet {
  const known = reach.endpoints.get(key) ?? emptySets.get(key) ?? { key, endpoints: [] };
  if (known.endpoints.length > 0) return known;
  if (emptySets.size >= mostEmptySets) emptySets.clear();
  emptySets.set(key, known);
  return known;
}
