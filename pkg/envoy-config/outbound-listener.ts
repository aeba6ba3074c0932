import type { EndpointSet } from '../policy/endpoints.ts';
import type { OutboundService } from '../policy/outbound.ts';
import type { DirectoryEntry, MeshSettings } from '../policy/proxy-policy.ts';
import type { ConnectionFacts } from './access-log.ts';
import { deniedReplies, outboundReplies } from './denial.ts';
import type { FilterChain, Listener, NetworkFilter } from './envoy-listener-types.ts';
import type { RouteConfiguration } from './envoy-route-types.ts';
import type { CidrRange } from './envoy-types.ts';
import { outboundFilters } from './http-filters.ts';
import { toHttpConnectionManager } from './http-connection-manager.ts';
import type { InlineRoutes } from './http-connection-manager.ts';
import { isHttp, toTcpProxy } from './inbound-listener.ts';
import type { OutboundInterception } from './interception.ts';
import {
  deniedRoutes,
  nowhereCluster,
  outboundListener,
  outboundRoutes,
  passthroughCluster,
  tcpCluster,
  virtualListener,
} from './names.ts';
import { addressesOf, toDeniedRoutes, toPodRoutes } from './route.ts';

type Redirect = Extract<OutboundInterception, { kind: 'redirect' }>;
type Directory = ReadonlyMap<string, DirectoryEntry>;

/** One listener per address of a Service port: adding a Service adds one small thing (DECISIONS E1). */
export function toVirtualListeners(service: OutboundService, settings: MeshSettings): readonly Listener[] {
  return service.addresses.map((address) => toVirtualListener(service, address, toServiceFilters(service, settings)));
}

/** The pods of a headless Service are dialled by their own addresses: each has its listener, and leads to itself. */
export function toPodListeners(
  service: OutboundService,
  endpoints: EndpointSet,
  settings: MeshSettings,
): readonly Listener[] {
  const listeners: Listener[] = [];
  for (const { ip, pod } of endpoints.endpoints) {
    if (ip === undefined) continue;
    const filters = isHttp(service.protocol)
      ? [toManager(service, settings, toPodRoutes(service, pod))]
      : [toTcpProxy(tcpCluster(service.key), `outbound/${service.key}`, toFacts(service), pod)];
    listeners.push(toVirtualListener(service, ip, filters));
  }
  return listeners;
}

function toVirtualListener(service: OutboundService, address: string, filters: readonly NetworkFilter[]): Listener {
  return {
    '@type': 'type.googleapis.com/envoy.config.listener.v3.Listener',
    name: virtualListener(service.key, address),
    stat_prefix: 'outbound',
    address: { socket_address: { address, port_value: service.port } },
    bind_to_port: false,
    traffic_direction: 'OUTBOUND',
    filter_chains: [{ name: service.key, filters }],
  };
}

export function toServiceFilters(service: OutboundService, settings: MeshSettings): readonly NetworkFilter[] {
  return isHttp(service.protocol)
    ? [toManager(service, settings, outboundRoutes(service.key))]
    : [toTcpProxy(tcpCluster(service.key), `outbound/${service.key}`, toFacts(service))];
}

export function toFacts({ key, routes }: OutboundService): ConnectionFacts {
  const origin = routes.at(-1)?.origin;
  const split = origin?.kind === 'TrafficSplit' ? { split: `${origin.namespace}/${origin.name}` } : {};
  return { direction: 'outbound', service: key, verdict: 'allowed', ...split };
}

/** Several Services share the chain: the address says which it was. */
const denied: ConnectionFacts = {
  direction: 'outbound',
  service: '',
  verdict: 'denied',
  reason: 'SourceNotAllowed',
};

function toManager(service: OutboundService, settings: MeshSettings, routes: string | InlineRoutes): NetworkFilter {
  return toHttpConnectionManager({
    direction: 'outbound',
    settings,
    statPrefix: `outbound/${service.key}`,
    routes,
    filters: outboundFilters,
    replies: outboundReplies,
  });
}

export interface OutboundDefault {
  readonly listener: Listener;
  readonly routes: RouteConfiguration;
}

/**
 * Where everything goes that no virtual listener takes: Services of the mesh that the client may not reach are refused
 * with the reason, the same for every proxy (DECISIONS E1); the rest leaves, if egress is allowed.
 */
export function toOutboundDefault(
  directory: Directory,
  settings: MeshSettings,
  { port, meshOnly }: Redirect,
): OutboundDefault {
  const http = new Map<number, DirectoryEntry[]>();
  const tcp = new Map<number, DirectoryEntry[]>();
  for (const entry of directory.values()) {
    const byPort = isHttp(entry.protocol) ? http : tcp;
    const entries = byPort.get(entry.port);
    if (entries) entries.push(entry);
    else byPort.set(entry.port, [entry]);
  }
  const chains: FilterChain[] = [];
  const manager = toDeniedManager(settings);
  for (const [number, entries] of [...http].sort(byNumber)) {
    const ranges = toRanges(entries);
    if (ranges.length === 0) continue;
    chains.push(toDeniedChain(`denied/http/${number}`, number, ranges, manager));
  }
  const httpRanges = new Set(
    [...http].flatMap(([number, entries]) => toRanges(entries).map((range) => toRangeKey(number, range))),
  );
  for (const [number, entries] of [...tcp].sort(byNumber)) {
    const ranges = toRanges(entries).filter((range) => !httpRanges.has(toRangeKey(number, range)));
    if (ranges.length === 0) continue;
    chains.push(toDeniedChain(`denied/tcp/${number}`, number, ranges, toTcpProxy(nowhereCluster, 'denied', denied)));
  }
  const leaves = settings.egress === 'allow' && meshOnly !== true;
  return {
    listener: toDefaultListener(chains, leaves, port),
    routes: toDeniedRoutes(directory.values()),
  };
}

function toDefaultListener(chains: readonly FilterChain[], leaves: boolean, port: number): Listener {
  return {
    '@type': 'type.googleapis.com/envoy.config.listener.v3.Listener',
    name: outboundListener,
    stat_prefix: 'outbound',
    address: { socket_address: { address: '0.0.0.0', port_value: port } },
    use_original_dst: true,
    traffic_direction: 'OUTBOUND',
    filter_chains: chains,
    default_filter_chain: {
      name: 'egress',
      filters: [toTcpProxy(leaves ? passthroughCluster : nowhereCluster, 'egress')],
    },
  };
}

function toDeniedManager(settings: MeshSettings): NetworkFilter {
  return toHttpConnectionManager({
    direction: 'denied',
    settings,
    statPrefix: 'denied',
    routes: deniedRoutes,
    filters: outboundFilters,
    replies: deniedReplies,
  });
}

function toDeniedChain(name: string, port: number, ranges: readonly CidrRange[], filter: NetworkFilter): FilterChain {
  return {
    name,
    filter_chain_match: { destination_port: port, prefix_ranges: ranges },
    filters: [filter],
  };
}

function toRanges(entries: readonly DirectoryEntry[]): CidrRange[] {
  const addresses = [...new Set(entries.flatMap(addressesOf))].sort();
  return addresses.map((address) => ({
    address_prefix: address,
    prefix_len: address.includes(':') ? 128 : 32,
  }));
}

function toRangeKey(port: number, { address_prefix }: CidrRange): string {
  return `${address_prefix}:${port}`;
}

function byNumber([a]: readonly [number, unknown], [b]: readonly [number, unknown]): number {
  return a - b;
}
