import type { Cluster } from './envoy-cluster-types.ts';
import type { Address, ConfigSource, JsonObject, SdsSecretConfig, Typed } from './envoy-types.ts';
import { adsPatiently } from './config-source.ts';
import { otlpCluster, xdsCluster } from './names.ts';
import { tls13 } from './tls.ts';

/** What an Envoy is started with; everything else comes over ADS (DECISIONS I4, E6, E11). */
export interface BootstrapOptions {
  /** Unique: it names the stream in logs. */
  readonly nodeId: string;
  /** `namespace/serviceaccount`, for people: identity comes from the token alone. */
  readonly nodeCluster: string;
  readonly nodeMetadata?: JsonObject;
  readonly xds: Address;
  /** Absent: plaintext and no token, for a control plane on loopback that asks for none. */
  readonly xdsTrust?: {
    /** A file with the roots of the control plane's certificate, watched. */
    readonly rootsFile: string;
    /** Name in that certificate. */
    readonly serverName: string;
    /** A file that holds the bearer token and nothing else, watched: each new stream sends what it says then. */
    readonly tokenFile: string;
    /** Where `toSecretFiles` is written to. */
    readonly directory: string;
  };
  /** Where spans go: an OTLP/HTTP receiver. */
  readonly otlp: Address;
  /** Loopback or a unix socket, never more: it can do anything to this Envoy (DECISIONS E11). */
  readonly admin: Address;
  /** Connections that clients may have open at once. */
  readonly maxConnections?: number;
}

type StaticCluster = Omit<Cluster, '@type'>;

export interface Bootstrap {
  readonly node: {
    readonly id: string;
    readonly cluster: string;
    readonly metadata?: JsonObject;
  };
  readonly admin: { readonly address: Address };
  readonly dynamic_resources: {
    readonly ads_config: {
      readonly api_type: 'DELTA_GRPC';
      readonly transport_api_version: 'V3';
      readonly set_node_on_first_message_only: true;
      readonly grpc_services: readonly {
        readonly envoy_grpc: { readonly cluster_name: string };
      }[];
    };
    readonly lds_config: ConfigSource;
    readonly cds_config: ConfigSource;
  };
  readonly static_resources: { readonly clusters: readonly StaticCluster[] };
  readonly layered_runtime: {
    readonly layers: readonly {
      readonly name: string;
      readonly static_layer: JsonObject;
    }[];
  };
  readonly overload_manager: JsonObject;
  readonly stats_config: JsonObject;
  readonly bootstrap_extensions: readonly {
    readonly name: string;
    readonly typed_config: Typed<string>;
  }[];
}

const tokenSecret = 'tulle-token';
const controllerRoots = 'tulle-controller-roots';

/**
 * The files beside the bootstrap, by name: Envoy watches a file only when a secret that came from a file names it.
 * What is watched is the directory, which also sees how Kubernetes replaces a projected token.
 */
export function toSecretFiles(
  trust: NonNullable<BootstrapOptions['xdsTrust']>,
): Readonly<Record<'sds-token.json' | 'sds-roots.json', JsonObject>> {
  const { serverName, rootsFile, tokenFile } = trust;
  return {
    'sds-token.json': toSecretFile({
      name: tokenSecret,
      generic_secret: {
        secret: {
          filename: tokenFile,
          watched_directory: { path: toDirectory(tokenFile) },
        },
      },
    }),
    'sds-roots.json': toSecretFile({
      name: controllerRoots,
      validation_context: {
        trusted_ca: { filename: rootsFile },
        watched_directory: { path: toDirectory(rootsFile) },
        match_typed_subject_alt_names: [{ san_type: 'DNS', matcher: { exact: serverName } }],
      },
    }),
  };
}

function toSecretFile(secret: JsonObject): JsonObject {
  const type = 'type.googleapis.com/envoy.extensions.transport_sockets.tls.v3.Secret';
  return { resources: [{ '@type': type, ...secret }] };
}

function fromFile(name: string, directory: string, file: keyof ReturnType<typeof toSecretFiles>): SdsSecretConfig {
  return {
    name,
    sds_config: {
      path_config_source: { path: `${directory}/${file}` },
      resource_api_version: 'V3',
    },
  };
}

export function toBootstrap(options: BootstrapOptions): Bootstrap {
  const { nodeId, nodeCluster, nodeMetadata, maxConnections = 50_000 } = options;
  return {
    node: {
      id: nodeId,
      cluster: nodeCluster,
      ...(nodeMetadata ? { metadata: nodeMetadata } : {}),
    },
    admin: { address: options.admin },
    dynamic_resources: {
      ads_config: {
        api_type: 'DELTA_GRPC',
        transport_api_version: 'V3',
        set_node_on_first_message_only: true,
        grpc_services: [{ envoy_grpc: { cluster_name: xdsCluster } }],
      },
      lds_config: adsPatiently,
      cds_config: adsPatiently,
    },
    static_resources: {
      clusters: [toXdsCluster(options), toOtlpCluster(options.otlp)],
    },
    layered_runtime: { layers: [{ name: 'tulle', static_layer: runtime }] },
    overload_manager: {
      resource_monitors: [
        {
          name: 'envoy.resource_monitors.global_downstream_max_connections',
          typed_config: {
            '@type':
              'type.googleapis.com/envoy.extensions.resource_monitors.downstream_connections.v3.DownstreamConnectionsConfig',
            max_active_downstream_connections: maxConnections,
          },
        },
      ],
    },
    stats_config: stats,
    bootstrap_extensions: [
      {
        name: 'envoy.bootstrap.internal_listener',
        typed_config: {
          '@type': 'type.googleapis.com/envoy.extensions.bootstrap.internal_listener.v3.InternalListener',
        },
      },
    ],
  };
}

const runtime: JsonObject = {
  // Envoy's own bound of 100 refuses ordinary patterns, and the whole listener with them (DECISIONS S12).
  're2.max_program_size.error_level': 10_000,
  're2.max_program_size.warn_level': 10_000,
  // One POST for this many spans, or every 5 s; the default is 5.
  'tracing.opentelemetry.min_flush_spans': 50,
  'tracing.opentelemetry.flush_interval_ms': 1000,
};

/** What `tulle proxy status`, alerts and the readiness of a proxy need; all of Envoy's stats cost memory (facts of E11). */
const stats: JsonObject = {
  stats_matcher: {
    inclusion_list: {
      patterns: [
        { prefix: 'server.' },
        { prefix: 'listener_manager.' },
        { prefix: 'cluster_manager.' },
        { prefix: 'control_plane.' },
        { prefix: 'overload.' },
        { prefix: 'tracing.' },
        { safe_regex: { regex: '.*\\.update_(success|rejected|failure)' } },
        {
          safe_regex: {
            regex: '.*\\.(upstream_rq_[2345]xx|downstream_rq_[2345]xx|upstream_rq_total|downstream_rq_active)',
          },
        },
        {
          safe_regex: {
            regex: '.*\\.(upstream_cx_active|downstream_cx_active|upstream_cx_connect_fail)',
          },
        },
        {
          safe_regex: {
            regex: '.*\\.ssl\\.(handshake|fail_verify_san|fail_verify_error|connection_error)',
          },
        },
        {
          safe_regex: {
            regex: '.*\\.(no_filter_chain_match|downstream_cx_overflow)',
          },
        },
      ],
    },
  },
};

function toXdsCluster({ xds, xdsTrust }: BootstrapOptions): StaticCluster {
  return {
    name: xdsCluster,
    type: 'socket_address' in xds && !isIp(xds.socket_address?.address) ? 'STRICT_DNS' : 'STATIC',
    connect_timeout: '5s',
    load_assignment: toAssignment(xdsCluster, xds),
    typed_extension_protocol_options: {
      'envoy.extensions.upstreams.http.v3.HttpProtocolOptions': {
        '@type': 'type.googleapis.com/envoy.extensions.upstreams.http.v3.HttpProtocolOptions',
        explicit_http_config: {
          // A dead control plane is noticed, and the stream opened again elsewhere.
          http2_protocol_options: {
            connection_keepalive: { interval: '30s', timeout: '10s' },
          },
        },
        ...(xdsTrust
          ? {
              http_filters: [
                {
                  name: 'envoy.filters.http.credential_injector',
                  typed_config: {
                    '@type':
                      'type.googleapis.com/envoy.extensions.filters.http.credential_injector.v3.CredentialInjector',
                    overwrite: true,
                    credential: {
                      name: 'envoy.http.injected_credentials.generic',
                      typed_config: {
                        '@type': 'type.googleapis.com/envoy.extensions.http.injected_credentials.generic.v3.Generic',
                        credential: fromFile(tokenSecret, xdsTrust.directory, 'sds-token.json'),
                        header: 'authorization',
                        header_value_prefix: 'Bearer ',
                      },
                    },
                  },
                },
                {
                  name: 'envoy.filters.http.upstream_codec',
                  typed_config: {
                    '@type': 'type.googleapis.com/envoy.extensions.filters.http.upstream_codec.v3.UpstreamCodec',
                  },
                },
              ],
            }
          : {}),
      },
    },
    ...(xdsTrust
      ? {
          transport_socket: {
            name: 'envoy.transport_sockets.tls',
            typed_config: {
              '@type': 'type.googleapis.com/envoy.extensions.transport_sockets.tls.v3.UpstreamTlsContext',
              sni: xdsTrust.serverName,
              common_tls_context: {
                tls_params: tls13,
                alpn_protocols: ['h2'],
                validation_context_sds_secret_config: fromFile(controllerRoots, xdsTrust.directory, 'sds-roots.json'),
              },
            },
          },
        }
      : {}),
  };
}

function toOtlpCluster(otlp: Address): StaticCluster {
  return {
    name: otlpCluster,
    type: 'socket_address' in otlp && !isIp(otlp.socket_address?.address) ? 'STRICT_DNS' : 'STATIC',
    connect_timeout: '5s',
    load_assignment: toAssignment(otlpCluster, otlp),
  };
}

function toAssignment(name: string, address: Address): NonNullable<Cluster['load_assignment']> {
  return {
    cluster_name: name,
    endpoints: [{ lb_endpoints: [{ endpoint: { address } }] }],
  };
}

function toDirectory(file: string): string {
  return file.slice(0, Math.max(1, file.lastIndexOf('/')));
}

function isIp(host: string | undefined): boolean {
  return host === undefined || /^[0-9.]+$/.test(host) || host.includes(':');
}
