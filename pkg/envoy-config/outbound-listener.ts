import type { EndpointSet } from '../policy/endpoints.ts';
import type { OutboundService } from '../policy/outbound.ts';
import type { MeshSettings } from '../policy/proxy-policy.ts';
import type { ConnectionFacts } from './access-log.ts';
import { chainMatcher, httpChain, ownChain, tcpChain, toAddressFilters } from './address-book.ts';
import { outboundReplies } from './denial.ts';
import { toSubset } from './endpoint.ts';
import type { Listener, NetworkFilter } from './envoy-listener-types.ts';
import { outboundFilters } from './http-filters.ts';
import { toHttpConnectionManager } from './http-connection-manager.ts';
import { originalDst, toTcpProxy } from './inbound-listener.ts';
import type { OutboundInterception } from './interception.ts';
import {
  nobodyListener,
  nowhereCluster,
  outboundListener,
  outboundRoutes,
  passthroughCluster,
  tcpCluster,
  virtualListener,
} from './names.ts';
import { isHttp } from './protocol.ts';
import { podAddresses, toDialled } from './scoped-route.ts';

type Redirect = Extract<OutboundInterception, { kind: 'redirect' }>;

/**
 * One listener per address of a TCP Service port that may be reached (DECISIONS E1). HTTP has none: one chain takes all
 * of it, and routes go by the address that was dialled (scoped-route.ts, docs/adr/0006).
 */
export function toVirtualListeners(service: OutboundService): readonly Listener[] {
  const filter = toTcpProxy(tcpCluster(service.key), `outbound/${service.key}`, toFacts(service));
  return service.addresses.map((address) => toVirtualListener(service, address, filter));
}

/** The pods of a headless TCP Service are dialled by their own addresses: each has its listener, and leads to itself. */
export function toPodListeners(service: OutboundService, { endpoints }: EndpointSet): readonly Listener[] {
  return endpoints.flatMap((endpoint) => {
    const filter = toTcpProxy(tcpCluster(service.key), `outbound/${service.key}`, toFacts(service), toSubset(endpoint));
    return podAddresses(service, endpoint).map(({ ip, port }) => toVirtualListener(service, ip, filter, port));
  });
}

function toVirtualListener(
  service: OutboundService,
  address: string,
  filter: NetworkFilter,
  port: number = service.port,
): Listener {
  return {
    '@type': 'type.googleapis.com/envoy.config.listener.v3.Listener',
    name: virtualListener(service.key, port === service.port ? address : toDialled(address, port)),
    stat_prefix: 'outbound',
    address: { socket_address: { address, port_value: port } },
    bind_to_port: false,
    traffic_direction: 'OUTBOUND',
    filter_chains: [{ name: service.key, filters: [filter] }],
  };
}

/** What comes out of a tunnel of the explicit proxy to one Service. */
export function toServiceFilters(service: OutboundService, settings: MeshSettings): readonly NetworkFilter[] {
  return isHttp(service.protocol)
    ? [toManager(settings, `outbound/${service.key}`, outboundRoutes(service.key))]
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

/** Not of the mesh, where nothing leaves it. */
const outside: ConnectionFacts = { ...denied, reason: 'EgressDenied' };

function toManager(settings: MeshSettings, statPrefix: string, routes?: string): NetworkFilter {
  return toHttpConnectionManager({
    direction: 'outbound',
    settings,
    statPrefix,
    ...(routes === undefined ? {} : { routes }),
    filters: outboundFilters,
    replies: outboundReplies,
  });
}

/**
 * Takes all that goes out. HTTP of the mesh, allowed or not, meets the routes of the address that was dialled; TCP that
 * may be reached has listeners of its own, and comes here only when it may not; the rest leaves, if egress is allowed.
 */
export function toOutboundListener(settings: MeshSettings, { port, meshOnly }: Redirect): Listener {
  const leaves = settings.egress === 'allow' && meshOnly !== true;
  return {
    '@type': 'type.googleapis.com/envoy.config.listener.v3.Listener',
    name: outboundListener,
    stat_prefix: 'outbound',
    address: { socket_address: { address: '0.0.0.0', port_value: port } },
    use_original_dst: true,
    traffic_direction: 'OUTBOUND',
    // `use_original_dst` alone would find out the address after these.
    listener_filters: [originalDst, ...toAddressFilters(port)],
    filter_chain_matcher: chainMatcher,
    filter_chains: [
      { name: httpChain, filters: [toManager(settings, 'outbound')] },
      { name: tcpChain, filters: [toTcpProxy(nowhereCluster, 'denied', denied)] },
      { name: ownChain, filters: [toTcpProxy(nowhereCluster, ownChain)] },
    ],
    default_filter_chain: {
      name: 'egress',
      filters: [leaves ? toTcpProxy(passthroughCluster, 'egress') : toTcpProxy(nowhereCluster, 'egress', outside)],
    },
  };
}

/**
 * Where the share of a TCP backend goes that has no endpoint. It closes a moment after it accepted: closed at once, the
 * connection would count as not made, and another backend would be tried.
 */
export const nobody: Listener = {
  '@type': 'type.googleapis.com/envoy.config.listener.v3.Listener',
  name: nobodyListener,
  stat_prefix: nobodyListener,
  internal_listener: {},
  traffic_direction: 'OUTBOUND',
  filter_chains: [
    {
      name: nobodyListener,
      filters: [
        {
          name: 'envoy.filters.network.tcp_proxy',
          typed_config: {
            '@type': 'type.googleapis.com/envoy.extensions.filters.network.tcp_proxy.v3.TcpProxy',
            stat_prefix: nobodyListener,
            cluster: nowhereCluster,
            upstream_connect_mode: 'ON_DOWNSTREAM_DATA',
            max_early_data_bytes: 16_384,
            max_downstream_connection_duration: '0.02s',
          },
        },
      ],
    },
  ],
};
