import type { JsonObject } from './envoy-types.ts';

// Listeners by which the kubelet asks the app of an injected pod, past the mesh's inbound policy (DECISIONS E10).
// They pass on the very requests that probes and lifecycle hooks make and nothing else: whoever may reach the pod may reach them.

/** One listener; `port` is where it listens. */
export type ProbeListener =
  | {
      readonly kind: 'http';
      readonly port: number;
      readonly appPort: number;
      /** The app speaks TLS: its certificate is not checked, as the kubelet doesn't. */
      readonly tls: boolean;
      /** Paths with query, as they are in the request line. */
      readonly targets: readonly string[];
    }
  | { readonly kind: 'grpc'; readonly port: number; readonly appPort: number }
  | {
      readonly kind: 'tcp';
      readonly port: number;
      readonly checks: readonly TcpCheck[];
    };

/** What a TCP probe asks: whether the app takes connections. Envoy dials it again and again, so that a dead app fails. */
export interface TcpCheck {
  readonly appPort: number;
  readonly intervalSeconds: number;
  readonly timeoutSeconds: number;
}

/** Where the kubelet asks after a TCP port: the rewritten probe is an `httpGet`. */
export function toTcpCheckPath(appPort: number): string {
  return `/tcp/${appPort}`;
}

/** Stats without which the health check filter knows no healthy endpoint. */
export const probeStatPrefixes: readonly string[] = ['cluster.probe/tcp/'];

export interface StaticParts {
  readonly listeners: readonly JsonObject[];
  readonly clusters: readonly JsonObject[];
}

/** `bind` gives the address of a listener that the kubelet reaches. */
export function toProbeParts(probes: readonly ProbeListener[], bind: (port: number) => JsonObject): StaticParts {
  return {
    listeners: probes.map((probe) => toListener(probe, bind(probe.port))),
    clusters: probes.flatMap(toClusters),
  };
}

function toListener(probe: ProbeListener, address: JsonObject): JsonObject {
  const name = `probe/${probe.port}`;
  switch (probe.kind) {
    case 'http':
      return toHttpListener({ name, address, codec: 'HTTP1', routes: probe.targets.map(toRouteOf(clusterOf(probe))) });
    case 'grpc':
      return toHttpListener({ name, address, codec: 'HTTP2', routes: [toGrpcRoute(clusterOf(probe))] });
    case 'tcp':
      return toHttpListener({ name, address, codec: 'HTTP1', routes: [], filters: probe.checks.map(toTcpFilter) });
  }
}

function clusterOf({ kind, appPort, ...rest }: Extract<ProbeListener, { appPort: number }>): string {
  return `probe/${'tls' in rest && rest.tls ? 'https' : kind}/${appPort}`;
}

function toRouteOf(cluster: string): (target: string) => JsonObject {
  return (target) => withPatience(toRoute({ method: 'GET', target, cluster }));
}

function toGrpcRoute(cluster: string): JsonObject {
  return withPatience(toRoute({ method: 'POST', target: '/grpc.health.v1.Health/Check', cluster }));
}

/**
 * Waits for an app that does not listen yet, two thirds of a second on average: the kubelet probes when a container has
 * just been started, and again only a period later, at least a second. So a pod is Ready as soon as its app is.
 * An app that listens is asked once.
 */
function withPatience({ route, ...rest }: JsonObject): JsonObject {
  const retry_policy = {
    retry_on: 'connect-failure',
    num_retries: 26,
    retry_back_off: { base_interval: '0.05s', max_interval: '0.05s' },
  };
  return { ...rest, route: { ...(route as JsonObject), retry_policy } };
}

export function toRoute({
  method,
  target,
  cluster,
}: {
  readonly method: 'GET' | 'POST';
  readonly target: string;
  readonly cluster: string;
}): JsonObject {
  return {
    match: {
      prefix: '/',
      headers: [
        { name: ':path', string_match: { exact: target } },
        { name: ':method', string_match: { exact: method } },
      ],
    },
    // How long a probe may take is the kubelet's to say: it hangs up.
    route: { cluster, timeout: '0s' },
    // A redirect would lead the kubelet past what is let through here; without a place to go to it counts as an answer.
    response_headers_to_remove: ['location'],
  };
}

export interface HttpListener {
  readonly name: string;
  readonly address: JsonObject;
  readonly codec: 'HTTP1' | 'HTTP2';
  readonly routes: readonly JsonObject[];
  readonly filters?: readonly JsonObject[];
}

/** A listener that answers 404 to all that no route names. */
export function toHttpListener({ name, address, codec, routes, filters = [] }: HttpListener): JsonObject {
  return {
    name,
    address,
    per_connection_buffer_limit_bytes: 65_536,
    filter_chains: [
      {
        filters: [
          {
            name: 'envoy.filters.network.http_connection_manager',
            typed_config: {
              '@type':
                'type.googleapis.com/envoy.extensions.filters.network.http_connection_manager.v3.HttpConnectionManager',
              stat_prefix: name,
              codec_type: codec,
              route_config: { name, virtual_hosts: [{ name, domains: ['*'], routes }] },
              http_filters: [
                ...filters,
                {
                  name: 'envoy.filters.http.router',
                  typed_config: {
                    '@type': 'type.googleapis.com/envoy.extensions.filters.http.router.v3.Router',
                    suppress_envoy_headers: true,
                  },
                },
              ],
              server_header_transformation: 'PASS_THROUGH',
              skip_xff_append: true,
              generate_request_id: false,
              http_protocol_options: { accept_http_10: true },
              common_http_protocol_options: { idle_timeout: '60s', max_headers_count: 100 },
              request_headers_timeout: '10s',
              stream_idle_timeout: '600s',
            },
          },
        ],
      },
    ],
  };
}

/** Answers by itself: 200 while the app takes connections, 503 while it doesn't. */
function toTcpFilter({ appPort }: TcpCheck): JsonObject {
  return {
    name: 'envoy.filters.http.health_check',
    typed_config: {
      '@type': 'type.googleapis.com/envoy.extensions.filters.http.health_check.v3.HealthCheck',
      pass_through_mode: false,
      cluster_min_healthy_percentages: { [tcpCluster(appPort)]: { value: 100 } },
      headers: [{ name: ':path', string_match: { exact: toTcpCheckPath(appPort) } }],
    },
  };
}

function tcpCluster(appPort: number): string {
  return `probe/tcp/${appPort}`;
}

function toClusters(probe: ProbeListener): readonly JsonObject[] {
  if (probe.kind === 'tcp') return probe.checks.map(toCheckedCluster);
  const name = clusterOf(probe);
  return [
    {
      ...toLoopbackCluster(name, probe.appPort),
      typed_extension_protocol_options: {
        'envoy.extensions.upstreams.http.v3.HttpProtocolOptions': {
          '@type': 'type.googleapis.com/envoy.extensions.upstreams.http.v3.HttpProtocolOptions',
          explicit_http_config: probe.kind === 'grpc' ? { http2_protocol_options: {} } : { http_protocol_options: {} },
          // As the kubelet does it: a connection kept open might just be closed by the app when the next probe comes.
          common_http_protocol_options: { max_requests_per_connection: 1 },
        },
      },
      ...(probe.kind === 'http' && probe.tls ? { transport_socket: uncheckedTls } : {}),
    },
  ];
}

const uncheckedTls: JsonObject = {
  name: 'envoy.transport_sockets.tls',
  typed_config: {
    '@type': 'type.googleapis.com/envoy.extensions.transport_sockets.tls.v3.UpstreamTlsContext',
    common_tls_context: {
      tls_params: { tls_minimum_protocol_version: 'TLSv1_2', tls_maximum_protocol_version: 'TLSv1_3' },
    },
  },
};

/** Envoy's own field names: `no_traffic_*` are in force as long as no request was ever sent to the cluster. */
function toCheckedCluster({ appPort, intervalSeconds, timeoutSeconds }: TcpCheck): JsonObject {
  const whileDown = '0.25s';
  return {
    ...toLoopbackCluster(tcpCluster(appPort), appPort),
    health_checks: [
      {
        timeout: `${timeoutSeconds}s`,
        interval: `${intervalSeconds}s`,
        unhealthy_interval: whileDown,
        no_traffic_interval: whileDown,
        no_traffic_healthy_interval: `${intervalSeconds}s`,
        healthy_threshold: 1,
        unhealthy_threshold: 1,
        tcp_health_check: {},
      },
    ],
  };
}

export function toLoopbackCluster(name: string, port: number): JsonObject {
  return {
    name,
    type: 'STATIC',
    connect_timeout: '5s',
    load_assignment: {
      cluster_name: name,
      endpoints: [
        {
          lb_endpoints: [{ endpoint: { address: { socket_address: { address: '127.0.0.1', port_value: port } } } }],
        },
      ],
    },
  };
}
