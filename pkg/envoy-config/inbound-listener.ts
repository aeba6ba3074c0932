import type { DenyReason } from '../policy/decide.ts';
import type { ServiceIdentity } from '../policy/identity.ts';
import { isEnforced, type InboundPolicy, type InboundPort, type PolicyMode } from '../policy/inbound.ts';
import type { MeshSettings } from '../policy/proxy-policy.ts';
import { toTcpAccessLog } from './access-log.ts';
import type { ConnectionFacts } from './access-log.ts';
import type {
  FilterChain,
  FilterChainMatch,
  Listener,
  ListenerFilter,
  NetworkFilter,
  TcpProxy,
} from './envoy-listener-types.ts';
import { toInboundManager } from './http-connection-manager.ts';
import type { InboundInterception } from './interception.ts';
import {
  appCluster,
  inboundListener,
  inboundPortListener,
  inboundRoutes,
  nowhereCluster,
  ownAddressCluster,
  ownAddressSource,
  peersSecret,
  rootsSecret,
  toServiceOf,
} from './names.ts';
import { isHttp } from './protocol.ts';
import { memoize } from './memo.ts';
import { namedSources, tcpSources } from './rbac.ts';
import { podPorts } from './pod-bootstrap.ts';
import { keepChains, toTcpChain, type TcpChain, type TcpChains } from './tcp-chain.ts';
import { toServerTls } from './tls.ts';

export interface InboundListeners {
  readonly listeners: readonly Listener[];
  /** Accounts that each secret `peers/<port>` must accept. */
  readonly peers: ReadonlyMap<string, readonly ServiceIdentity[]>;
  /** For the next call. */
  readonly tcpChains: TcpChains;
}

/** The same as long as all that it depends on is: what others may reach does not concern it. */
export const toInboundListeners = memoize(makeInboundListeners);

/** Takes in what is meant for the workload: few chains, by port and by whether mutual TLS is spoken (DECISIONS E2). */
function makeInboundListeners(
  policy: InboundPolicy,
  settings: MeshSettings,
  interception: InboundInterception,
  previous: TcpChains,
): InboundListeners {
  const peers = new Map<string, readonly ServiceIdentity[]>();
  // What is not enforced just now, or gone, is remembered: an Envoy that is told late may have its chain still.
  const tcpChains = new Map(previous);
  // A unix socket has no port to match.
  const match: ToMatch = interception.kind === 'redirect' ? toPortMatch : toProtocolMatch;
  const chainsOf = (port: InboundPort): readonly FilterChain[] => {
    if (isHttp(port.protocol)) return toHttpChains(port, settings, match);
    if (!isEnforced(policy)) return toOpenTcpChains(port, policy.mode, match);
    const sources = tcpSources(policy, port.port);
    const chain = toTcpChain(port.port, sources, previous.get(port.port));
    peers.set(peersSecret(port.port), sources);
    if (chain) tcpChains.set(port.port, chain);
    if (!chain || sources.length === 0) return [toClosedChain(port, match, closedWhy(policy))];
    return [toEnforcedTcpChain(port, chain, match)];
  };
  const listeners =
    interception.kind === 'redirect'
      ? [toRedirectListener(policy, interception.port, portsOfApp(policy, interception.port).flatMap(chainsOf))]
      : policy.ports.map((port) => toSocketListener(port, interception.template, chainsOf(port)));
  return { listeners, peers, tcpChains: keepChains(previous, tcpChains) };
}

/** A Service may say that the app listens where the sidecar does. */
function portsOfApp({ ports }: InboundPolicy, inbound: number): readonly InboundPort[] {
  return ports.filter(({ port }) => !ownPorts(inbound).includes(port));
}

function toRedirectListener(policy: InboundPolicy, port: number, chains: readonly FilterChain[]): Listener {
  const open = !isEnforced(policy);
  const serverFirst = policy.ports.filter(({ protocol }) => protocol === 'tcp-server-first').length > 0;
  return {
    '@type': 'type.googleapis.com/envoy.config.listener.v3.Listener',
    name: inboundListener,
    stat_prefix: inboundListener,
    address: { socket_address: { address: '0.0.0.0', port_value: port } },
    traffic_direction: 'INBOUND',
    listener_filters: [originalDst, tlsInspector],
    ...toInspection(open && serverFirst),
    filter_chains: [...chains, ...toOwnChains(port)],
    // A port that no Service leads to: nobody in the mesh dials it, and in enforce mode nobody else is served.
    default_filter_chain: {
      name: 'other',
      filters: open
        ? [toTcpProxy(ownAddressCluster, 'inbound/other')]
        : [toTcpProxy(nowhereCluster, 'inbound/other', { ...unnamed, mode: 'enforce' })],
    },
  };
}

const unnamed: ConnectionFacts = { direction: 'inbound', service: '', verdict: 'denied', reason: 'NoTarget' };

/**
 * Two kinds of connections would go round in circles, or reach the admin API: those to ports of the sidecar itself, which
 * come in here like all others, and those that this listener makes and that rules of an older version lead back to it.
 */
function toOwnChains(port: number): readonly FilterChain[] {
  const filters = [toTcpProxy(nowhereCluster, 'inbound/own')];
  const source = { address_prefix: ownAddressSource, prefix_len: 32 };
  return [
    ...ownPorts(port).map((own) => ({ name: `own/${own}`, filter_chain_match: { destination_port: own }, filters })),
    { name: 'own', filter_chain_match: { source_prefix_ranges: [source] }, filters },
  ];
}

function ownPorts(inbound: number): readonly number[] {
  return [podPorts.admin, podPorts.outbound, inbound];
}

function toSocketListener(port: InboundPort, template: string, chains: readonly FilterChain[]): Listener {
  const path = template.replace('{port}', String(port.port));
  return {
    '@type': 'type.googleapis.com/envoy.config.listener.v3.Listener',
    name: inboundPortListener(port.port),
    stat_prefix: inboundPortListener(port.port),
    address: { pipe: { path, mode: 0o600 } },
    traffic_direction: 'INBOUND',
    listener_filters: [tlsInspector],
    ...toInspection(port.protocol === 'tcp-server-first'),
    filter_chains: chains,
  };
}

/** A plaintext client of a server that speaks first sends nothing to look at: it is let through after a moment. */
function toInspection(
  serverFirst: boolean,
): Pick<Listener, 'listener_filters_timeout' | 'continue_on_listener_filters_timeout'> {
  return serverFirst
    ? {
        listener_filters_timeout: '0.2s',
        continue_on_listener_filters_timeout: true,
      }
    : { listener_filters_timeout: '15s' };
}

const tlsInspector: ListenerFilter = {
  name: 'envoy.filters.listener.tls_inspector',
  typed_config: {
    '@type': 'type.googleapis.com/envoy.extensions.filters.listener.tls_inspector.v3.TlsInspector',
  },
};

export const originalDst: ListenerFilter = {
  name: 'envoy.filters.listener.original_dst',
  typed_config: {
    '@type': 'type.googleapis.com/envoy.extensions.filters.listener.original_dst.v3.OriginalDst',
  },
};

type ToMatch = (port: number, protocol: 'tls' | 'raw_buffer') => FilterChainMatch;

const toPortMatch: ToMatch = (port, protocol) => ({
  destination_port: port,
  transport_protocol: protocol,
});
const toProtocolMatch: ToMatch = (_port, protocol) => ({
  transport_protocol: protocol,
});

/**
 * One and the same for every mode and all rules: these come with the routes, so that a change of them holds on kept
 * connections (DECISIONS E3). What comes in plaintext has no identity, which no rule names.
 */
function toHttpChains({ port }: InboundPort, settings: MeshSettings, match: ToMatch): readonly FilterChain[] {
  const toFilters = (from: 'sidecar' | 'anybody') => [toInboundManager(settings, port, inboundRoutes(port), from)];
  return [
    {
      name: `${port}/tls`,
      filter_chain_match: match(port, 'tls'),
      transport_socket: toServerTls(rootsSecret, ['h2', 'http/1.1']),
      transport_socket_connect_timeout: '10s',
      filters: toFilters('sidecar'),
    },
    {
      name: `${port}/plaintext`,
      filter_chain_match: match(port, 'raw_buffer'),
      filters: toFilters('anybody'),
    },
  ];
}

/**
 * The certificate is checked in the handshake, against the accounts that `peers/<port>` lists: RBAC would act on the
 * first byte of the client only, and show it the banner of a server that speaks first (DECISIONS E3).
 */
function toEnforcedTcpChain({ port, services }: InboundPort, { name }: TcpChain, match: ToMatch): FilterChain {
  return {
    name,
    filter_chain_match: match(port, 'tls'),
    transport_socket: toServerTls(peersSecret(port)),
    transport_socket_connect_timeout: '10s',
    filters: [afterHandshake(toTcpProxy(appCluster(port), `inbound/${port}`, toFacts(port, services, 'enforce')))],
  };
}

/** What is said of a port that no rule opens for connections: whoever has one for requests alone is not told apart. */
function closedWhy(policy: InboundPolicy): DenyReason {
  return namedSources(policy).length === 0 ? 'NoTarget' : 'SourceNotAllowed';
}

/** Nobody may connect. The port answers all the same, so that a caller can tell a refusal from a dead workload. */
function toClosedChain({ port, services }: InboundPort, match: ToMatch, reason: DenyReason): FilterChain {
  const facts: ConnectionFacts = { ...toFacts(port, services, 'enforce'), verdict: 'denied', reason };
  return {
    name: `${port}/tls`,
    filter_chain_match: match(port, 'tls'),
    transport_socket: toServerTls(rootsSecret),
    transport_socket_connect_timeout: '10s',
    filters: [afterHandshake(toTcpProxy(nowhereCluster, `inbound/${port}`, facts))],
  };
}

function toOpenTcpChains({ port, services }: InboundPort, mode: PolicyMode, match: ToMatch): readonly FilterChain[] {
  const filter = toTcpProxy(appCluster(port), `inbound/${port}`, toFacts(port, services, mode));
  return [
    {
      name: `${port}/tls`,
      filter_chain_match: match(port, 'tls'),
      transport_socket: toServerTls(rootsSecret),
      transport_socket_connect_timeout: '10s',
      filters: [afterHandshake(filter)],
    },
    {
      name: `${port}/plaintext`,
      filter_chain_match: match(port, 'raw_buffer'),
      filters: [filter],
    },
  ];
}

/** The app hears of a connection once its peer has proved who it is. */
function afterHandshake(filter: NetworkFilter): NetworkFilter {
  return {
    ...filter,
    typed_config: {
      ...(filter.typed_config as TcpProxy),
      upstream_connect_mode: 'ON_DOWNSTREAM_TLS_HANDSHAKE',
      max_early_data_bytes: 16_384,
    },
  };
}

function toFacts(port: number, services: readonly string[], mode: PolicyMode): ConnectionFacts {
  return { direction: 'inbound', service: toServiceOf(port, services), verdict: 'allowed', mode };
}

export function toTcpProxy(cluster: string, statPrefix: string, facts?: ConnectionFacts, pod?: string): NetworkFilter {
  return {
    name: 'envoy.filters.network.tcp_proxy',
    typed_config: {
      '@type': 'type.googleapis.com/envoy.extensions.filters.network.tcp_proxy.v3.TcpProxy',
      stat_prefix: statPrefix,
      cluster,
      ...(pod === undefined ? {} : { metadata_match: { filter_metadata: { 'envoy.lb': { pod } } } }),
      // Databases keep connections idle for long; keep-alive of TCP finds the dead ones.
      idle_timeout: '0s',
      max_connect_attempts: 3,
      ...(facts
        ? { access_log: [toTcpAccessLog(facts)], access_log_options: { flush_access_log_on_connected: true } }
        : {}),
    },
  };
}
