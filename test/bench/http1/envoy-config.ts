import { type BenchProtocol, clientIdentity, serverIdentity } from './setup.ts';

/** PEM files and ports of one Envoy. */
export interface EnvoySetup {
  readonly side: 'outbound' | 'inbound';
  readonly listen: number;
  readonly upstream: number;
  /** Unix socket between the two, instead of ports. */
  readonly socket?: string;
  readonly certificateChain: string;
  readonly privateKey: string;
  readonly roots: string;
  readonly between: 'http/1.1' | 'h2';
  readonly protocol: BenchProtocol;
  /** Share of requests that are traced; absent: no tracing, and no trace headers. Spans go to `collector`, `batch` at a time. */
  readonly tracing?: { readonly sampling: number; readonly collector: number; readonly batch?: number };
}

const type = 'type.googleapis.com/envoy.extensions';

const http2Options = {
  typed_extension_protocol_options: {
    'envoy.extensions.upstreams.http.v3.HttpProtocolOptions': {
      '@type': `${type}.upstreams.http.v3.HttpProtocolOptions`,
      explicit_http_config: { http2_protocol_options: {} },
    },
  },
};

function isHttp2({ protocol }: EnvoySetup): boolean {
  return protocol === 'http2' || protocol === 'grpc';
}

/** The least that does the same: mutual TLS with SAN checks, paths normalised, RBAC, a split. No access log. */
export function toEnvoyConfig(setup: EnvoySetup): object {
  const { batch } = setup.tracing ?? {};
  const runtime = {
    layers: [{ name: 'bench', static_layer: { 'tracing.zipkin.min_flush_spans': batch } }],
  };
  return {
    ...(batch === undefined ? undefined : { layered_runtime: runtime }),
    static_resources: {
      listeners: [setup.side === 'outbound' ? outboundListener(setup) : inboundListener(setup)],
      clusters: [
        ...(setup.side === 'outbound'
          ? [peerCluster('v1', setup), peerCluster('v2', setup)]
          : [{ ...cluster('app', toAddress(setup.upstream)), ...(isHttp2(setup) ? http2Options : undefined) }]),
        ...(setup.tracing === undefined ? [] : [cluster('collector', toAddress(setup.tracing.collector))]),
      ],
    },
  };
}

function outboundListener(setup: EnvoySetup): object {
  const weighted = { clusters: [toWeight('v1', 90), toWeight('v2', 10)] };
  return listener(
    setup,
    {},
    [
      {
        match: { prefix: '/' },
        route: { weighted_clusters: weighted, timeout: '0s' },
      },
    ],
    [],
  );
}

function inboundListener(setup: EnvoySetup): object {
  const rbac = {
    name: 'envoy.filters.http.rbac',
    typed_config: {
      '@type': `${type}.filters.http.rbac.v3.RBAC`,
      rules: {
        action: 'ALLOW',
        policies: {
          'bookstore/bookstore': {
            permissions: [
              {
                and_rules: {
                  rules: [
                    {
                      header: {
                        name: ':method',
                        string_match: { safe_regex: { regex: 'GET|POST' } },
                      },
                    },
                    {
                      url_path: { path: { safe_regex: { regex: '/books.*' } } },
                    },
                  ],
                },
              },
            ],
            principals: [{ authenticated: { principal_name: { exact: clientIdentity } } }],
          },
        },
      },
    },
  };
  const tls = {
    transport_socket: {
      name: 'envoy.transport_sockets.tls',
      typed_config: {
        '@type': `${type}.transport_sockets.tls.v3.DownstreamTlsContext`,
        require_client_certificate: true,
        common_tls_context: tlsContext(setup, undefined),
      },
    },
  };
  return listener(setup, tls, [{ match: { prefix: '/' }, route: { cluster: 'app', timeout: '0s' } }], [rbac]);
}

function listener(setup: EnvoySetup, more: object, routes: object[], filters: object[]): object {
  const inbound = setup.side === 'inbound';
  if (setup.protocol === 'tcp') return tcpListener(setup, more);
  const manager = {
    '@type': `${type}.filters.network.http_connection_manager.v3.HttpConnectionManager`,
    stat_prefix: 'bench',
    normalize_path: true,
    merge_slashes: true,
    path_with_escaped_slashes_action: 'REJECT_REQUEST',
    ...(setup.tracing === undefined ? undefined : { tracing: toTracing(setup.tracing.sampling) }),
    ...(inbound
      ? {
          forward_client_cert_details: 'SANITIZE_SET',
          set_current_client_cert_details: { uri: true },
        }
      : undefined),
    route_config: { virtual_hosts: [{ name: 'all', domains: ['*'], routes }] },
    http_filters: [
      ...filters,
      {
        name: 'envoy.filters.http.router',
        typed_config: { '@type': `${type}.filters.http.router.v3.Router` },
      },
    ],
  };
  return {
    name: setup.side,
    address: toPlace(inbound ? setup.socket : undefined, setup.listen),
    filter_chains: [
      {
        filters: [
          {
            name: 'envoy.filters.network.http_connection_manager',
            typed_config: manager,
          },
        ],
        ...more,
      },
    ],
  };
}

function tcpListener(setup: EnvoySetup, more: object): object {
  const inbound = setup.side === 'inbound';
  const weighted = { weighted_clusters: { clusters: [toWeight('v1', 90), toWeight('v2', 10)] } };
  const rbac = {
    name: 'envoy.filters.network.rbac',
    typed_config: {
      '@type': `${type}.filters.network.rbac.v3.RBAC`,
      stat_prefix: 'bench',
      rules: {
        action: 'ALLOW',
        policies: {
          'bookstore/bookstore': {
            permissions: [{ any: true }],
            principals: [{ authenticated: { principal_name: { exact: clientIdentity } } }],
          },
        },
      },
    },
  };
  const proxy = {
    name: 'envoy.filters.network.tcp_proxy',
    typed_config: {
      '@type': `${type}.filters.network.tcp_proxy.v3.TcpProxy`,
      stat_prefix: 'bench',
      ...(inbound ? { cluster: 'app' } : weighted),
    },
  };
  return {
    name: setup.side,
    address: toPlace(inbound ? setup.socket : undefined, setup.listen),
    filter_chains: [{ filters: inbound ? [rbac, proxy] : [proxy], ...more }],
  };
}

/** Zipkin's tracer is the one that speaks W3C and B3 by itself. */
function toTracing(sampling: number): object {
  const config = {
    '@type': 'type.googleapis.com/envoy.config.trace.v3.ZipkinConfig',
    collector_cluster: 'collector',
    collector_endpoint: '/api/v2/spans',
    collector_endpoint_version: 'HTTP_JSON',
    shared_span_context: false,
    trace_id_128bit: true,
    trace_context_option: 'USE_B3_WITH_W3C_PROPAGATION',
  };
  return {
    random_sampling: { value: sampling * 100 },
    provider: { name: 'envoy.tracers.zipkin', typed_config: config },
  };
}

function peerCluster(name: string, setup: EnvoySetup): object {
  return {
    ...cluster(name, toPlace(setup.socket, setup.upstream)),
    ...(setup.between === 'h2' && setup.protocol !== 'tcp' ? http2Options : undefined),
    transport_socket: {
      name: 'envoy.transport_sockets.tls',
      typed_config: {
        '@type': `${type}.transport_sockets.tls.v3.UpstreamTlsContext`,
        sni: 'bookstore.bookstore',
        common_tls_context: tlsContext(setup, serverIdentity),
      },
    },
  };
}

function cluster(name: string, address: object): object {
  const endpoint = { endpoint: { address } };
  return {
    name,
    connect_timeout: '5s',
    type: 'STATIC',
    load_assignment: {
      cluster_name: name,
      endpoints: [{ lb_endpoints: [endpoint] }],
    },
  };
}

function tlsContext(setup: EnvoySetup, san: string | undefined): object {
  const matcher = { san_type: 'URI', matcher: { exact: san } };
  return {
    tls_params: {
      tls_minimum_protocol_version: 'TLSv1_3',
      tls_maximum_protocol_version: 'TLSv1_3',
    },
    alpn_protocols: [setup.between],
    tls_certificates: [
      {
        certificate_chain: { inline_string: setup.certificateChain },
        private_key: { inline_string: setup.privateKey },
      },
    ],
    validation_context: {
      trusted_ca: { inline_string: setup.roots },
      ...(san === undefined ? undefined : { match_typed_subject_alt_names: [matcher] }),
    },
  };
}

function toWeight(name: string, weight: number): object {
  return { name, weight };
}

function toAddress(port: number): object {
  return { socket_address: { address: '127.0.0.1', port_value: port } };
}

function toPlace(socket: string | undefined, port: number): object {
  return socket === undefined ? toAddress(port) : { pipe: { path: socket } };
}
