import type { OutboundService, ServicePortKey } from '../policy/outbound.ts';
import type { DirectoryEntry, MeshSettings, ProxyPolicy } from '../policy/proxy-policy.ts';
import { egressCluster, toEgressFilter } from './egress.ts';
import { toProxyReplies } from './denial.ts';
import type { Cluster } from './envoy-cluster-types.ts';
import type { HttpFilter } from './envoy-http-types.ts';
import type { Listener } from './envoy-listener-types.ts';
import type { RouteConfiguration } from './envoy-route-types.ts';
import type { RbacRules } from './envoy-rbac-types.ts';
import type { HeaderMatcher } from './envoy-types.ts';
import { outboundFilters } from './http-filters.ts';
import { toHttpConnectionManager } from './http-connection-manager.ts';
import { toTcpProxy } from './inbound-listener.ts';
import type { OutboundInterception } from './interception.ts';
import {
  internalCluster,
  internalListener,
  nowhereCluster,
  proxyListener,
  proxyRoutes,
  tcpCluster,
  tcpPortListener,
} from './names.ts';
import { isHttp } from './protocol.ts';
import { toFacts, toServiceFilters } from './outbound-listener.ts';
import { toProxyRoutes } from './proxy-routes.ts';

type ProxyMode = Extract<OutboundInterception, { kind: 'proxy' }>;

export interface ProxyResources {
  readonly listeners: readonly Listener[];
  readonly routes: readonly RouteConfiguration[];
  readonly clusters: readonly Cluster[];
}

/** The laptop's explicit mode: an HTTP forward proxy and a loopback port for each TCP service (DECISIONS L2). */
export function toProxyResources(policy: ProxyPolicy, mode: ProxyMode): ProxyResources {
  const { reach, settings, directory } = policy;
  const tunnelled = [...reach.outbound.values()].filter(({ protocol }) => isHttp(protocol));
  return {
    listeners: [
      toProxyListener(settings, mode),
      ...tunnelled.map((service) => toInternalListener(service, settings)),
      ...toTcpListeners(mode.tcpPorts, reach.outbound, directory),
    ],
    routes: [toProxyRoutes(policy)],
    clusters: [egressCluster, ...tunnelled.map(({ key }) => toInternalCluster(key))],
  };
}

function toProxyListener(settings: MeshSettings, { port, authorization }: ProxyMode): Listener {
  const secret: HeaderMatcher | undefined =
    authorization === undefined ? undefined : { name: 'proxy-authorization', string_match: { exact: authorization } };
  return {
    '@type': 'type.googleapis.com/envoy.config.listener.v3.Listener',
    name: proxyListener,
    stat_prefix: proxyListener,
    address: { socket_address: { address: '127.0.0.1', port_value: port } },
    traffic_direction: 'OUTBOUND',
    filter_chains: [
      {
        name: proxyListener,
        filters: [
          toHttpConnectionManager({
            direction: 'proxy',
            settings,
            statPrefix: proxyListener,
            routes: proxyRoutes,
            filters: [...(secret ? [toGuard(secret)] : []), toEgressFilter(), ...outboundFilters],
            replies: toProxyReplies(secret),
          }),
        ],
      },
    ],
  };
}

/** A workload's calls are its own: without its secret, 407. */
function toGuard(secret: HeaderMatcher): HttpFilter {
  const rules: RbacRules = {
    action: 'ALLOW',
    policies: { secret: { permissions: [{ header: secret }], principals: [{ any: true }] } },
  };
  return {
    name: 'tulle.proxy.guard',
    typed_config: { '@type': 'type.googleapis.com/envoy.extensions.filters.http.rbac.v3.RBAC', rules },
  };
}

/** What comes out of a CONNECT tunnel meets the same policy as any connection to the Service. */
function toInternalListener(service: OutboundService, settings: MeshSettings): Listener {
  return {
    '@type': 'type.googleapis.com/envoy.config.listener.v3.Listener',
    name: internalListener(service.key),
    stat_prefix: 'outbound',
    internal_listener: {},
    traffic_direction: 'OUTBOUND',
    filter_chains: [{ name: service.key, filters: toServiceFilters(service, settings) }],
  };
}

function toInternalCluster(key: ServicePortKey): Cluster {
  const name = internalCluster(key);
  const address = {
    envoy_internal_address: { server_listener_name: internalListener(key) },
  };
  return {
    '@type': 'type.googleapis.com/envoy.config.cluster.v3.Cluster',
    name,
    type: 'STATIC',
    connect_timeout: '1s',
    load_assignment: {
      cluster_name: name,
      endpoints: [{ lb_endpoints: [{ endpoint: { address } }] }],
    },
  };
}

function toTcpListeners(
  ports: ProxyMode['tcpPorts'],
  reachable: ReadonlyMap<ServicePortKey, OutboundService>,
  directory: ReadonlyMap<ServicePortKey, DirectoryEntry>,
): Listener[] {
  const listeners: Listener[] = [];
  for (const [key, port] of ports) {
    if (!directory.has(key)) continue;
    const service = reachable.get(key);
    const filter = service
      ? toTcpProxy(tcpCluster(key), `outbound/${key}`, toFacts(service))
      : toTcpProxy(nowhereCluster, 'denied', {
          direction: 'outbound',
          service: key,
          verdict: 'denied',
          reason: 'SourceNotAllowed',
        });
    listeners.push({
      '@type': 'type.googleapis.com/envoy.config.listener.v3.Listener',
      name: tcpPortListener(key),
      stat_prefix: 'outbound',
      address: { socket_address: { address: '127.0.0.1', port_value: port } },
      traffic_direction: 'OUTBOUND',
      filter_chains: [{ name: key, filters: [filter] }],
    });
  }
  return listeners;
}
