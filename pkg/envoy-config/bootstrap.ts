import type { StaticCluster } from './control-plane-cluster.ts';
import type { Address, ConfigSource, JsonObject, Typed } from './envoy-types.ts';
import { adsPatiently } from './config-source.ts';
import { controllerRoots, toOtlpCluster, tokenSecret, toXdsCluster } from './control-plane-cluster.ts';
import { xdsCluster } from './names.ts';

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
  /** Present: spans go over TLS and with a token, as the stream does. */
  readonly otlpTrust?: NonNullable<BootstrapOptions['xdsTrust']>;
  /** How names of the control plane are looked up where they are names; absent: as Envoy does by itself. */
  readonly nameLookup?: { readonly families: 'V4_ONLY' | 'V4_PREFERRED' | 'ALL' };
  /** Loopback or a unix socket, never more: it can do anything to this Envoy (DECISIONS E11). */
  readonly admin: Address;
  /** Connections that clients may have open at once. */
  readonly maxConnections?: number;
  /** What does not come over ADS: readiness, metrics, probes. */
  readonly listeners?: readonly JsonObject[];
  readonly clusters?: readonly (StaticCluster | JsonObject)[];
  /** Stats that these need beside those that are always kept: prefixes of their names. */
  readonly statPrefixes?: readonly string[];
}

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
  readonly static_resources: {
    readonly clusters: readonly (StaticCluster | JsonObject)[];
    readonly listeners?: readonly JsonObject[];
  };
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

/**
 * The files beside the bootstrap, by name: Envoy watches a file only when a secret that came from a file names it.
 * What is watched is the directory, which also sees how Kubernetes replaces a projected token.
 */
export function toSecretFiles({
  serverName,
  rootsFile,
  tokenFile,
}: NonNullable<BootstrapOptions['xdsTrust']>): Readonly<Record<'sds-token.json' | 'sds-roots.json', JsonObject>> {
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

function toDirectory(file: string): string {
  return file.slice(0, Math.max(1, file.lastIndexOf('/')));
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
      clusters: [toXdsCluster(options), toOtlpCluster(options), ...(options.clusters ?? [])],
      ...(options.listeners ? { listeners: options.listeners } : {}),
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
    stats_config: toStats(options.statPrefixes ?? []),
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

function toStats(prefixes: readonly string[]): JsonObject {
  const patterns = [...keptStats, ...prefixes.map((prefix) => ({ prefix }))];
  return { stats_matcher: { inclusion_list: { patterns } } };
}

/** What `tulle proxy status`, alerts and the readiness of a proxy need; all of Envoy's stats cost memory (facts of E11). */
const keptStats: readonly JsonObject[] = [
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
];
