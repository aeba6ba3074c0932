import type { Http2Options, HttpFilter } from './envoy-http-types.ts';
import type {
  Address,
  ConfigSource,
  Duration,
  JsonObject,
  Metadata,
  SdsSecretConfig,
  TransportSocket,
  Typed,
} from './envoy-types.ts';

// Envoy's cluster.proto and endpoint.proto, as far as they are in use. See envoy-types.ts for the form.

export type Cluster = Typed<
  'envoy.config.cluster.v3.Cluster',
  {
    readonly name: string;
    readonly type?: 'EDS' | 'STATIC' | 'ORIGINAL_DST' | 'STRICT_DNS';
    readonly cluster_type?: {
      readonly name: string;
      readonly typed_config:
        | Typed<
            'envoy.extensions.clusters.dynamic_forward_proxy.v3.ClusterConfig',
            { readonly dns_cache_config: JsonObject }
          >
        | DnsCluster;
    };
    readonly eds_cluster_config?: {
      readonly eds_config: ConfigSource;
      readonly service_name?: string;
    };
    readonly load_assignment?: Omit<ClusterLoadAssignment, '@type'>;
    readonly connect_timeout: Duration;
    readonly lb_policy?: 'ROUND_ROBIN' | 'LEAST_REQUEST' | 'CLUSTER_PROVIDED';
    readonly lb_subset_config?: {
      readonly fallback_policy: 'ANY_ENDPOINT' | 'NO_FALLBACK';
      readonly subset_selectors: readonly {
        readonly keys: readonly string[];
        readonly fallback_policy: 'NO_FALLBACK';
      }[];
      readonly locality_weight_aware?: boolean;
    };
    readonly common_lb_config?: {
      readonly healthy_panic_threshold?: { readonly value: number };
      readonly locality_weighted_lb_config?: Record<string, never>;
    };
    readonly upstream_bind_config?: {
      readonly source_address: { readonly address: string; readonly port_value: number };
    };
    readonly outlier_detection?: OutlierDetection;
    readonly circuit_breakers?: {
      readonly thresholds: readonly CircuitBreakerThresholds[];
    };
    readonly transport_socket?: TransportSocket;
    readonly transport_socket_matches?: readonly {
      readonly name: string;
      readonly match: JsonObject;
      readonly transport_socket: TransportSocket;
    }[];
    readonly typed_extension_protocol_options?: {
      readonly 'envoy.extensions.upstreams.http.v3.HttpProtocolOptions': HttpProtocolOptions;
    };
    readonly metadata?: Metadata;
    readonly upstream_connection_options?: {
      readonly tcp_keepalive: { readonly keepalive_time: number };
    };
  }
>;

export type DnsCluster = Typed<
  'envoy.extensions.clusters.dns.v3.DnsCluster',
  {
    readonly dns_lookup_family: 'V4_ONLY' | 'V4_PREFERRED' | 'ALL';
    readonly dns_refresh_rate: Duration;
    readonly dns_failure_refresh_rate: { readonly base_interval: Duration; readonly max_interval: Duration };
  }
>;

export interface OutlierDetection {
  readonly consecutive_5xx?: number;
  readonly consecutive_gateway_failure?: number;
  readonly consecutive_local_origin_failure?: number;
  readonly split_external_local_origin_errors?: boolean;
  readonly enforcing_consecutive_5xx?: number;
  readonly enforcing_consecutive_gateway_failure?: number;
  readonly enforcing_consecutive_local_origin_failure?: number;
  readonly enforcing_success_rate?: number;
  readonly enforcing_local_origin_success_rate?: number;
  readonly base_ejection_time?: Duration;
  readonly max_ejection_time?: Duration;
  readonly interval?: Duration;
  readonly max_ejection_percent?: number;
}

export interface CircuitBreakerThresholds {
  readonly max_connections?: number;
  readonly max_pending_requests?: number;
  readonly max_requests?: number;
  readonly max_retries?: number;
}

export type HttpProtocolOptions = Typed<
  'envoy.extensions.upstreams.http.v3.HttpProtocolOptions',
  {
    readonly use_downstream_protocol_config?: {
      readonly http_protocol_options?: Record<string, never>;
      readonly http2_protocol_options?: Http2Options;
    };
    readonly explicit_http_config?: {
      readonly http2_protocol_options?: Http2Options;
      readonly http_protocol_options?: Record<string, never>;
    };
    readonly common_http_protocol_options?: {
      readonly idle_timeout?: Duration;
    };
    readonly http_filters?: readonly (HttpFilter | UpstreamFilter)[];
  }
>;

export interface UpstreamFilter {
  readonly name: string;
  readonly typed_config:
    | Typed<'envoy.extensions.filters.http.upstream_codec.v3.UpstreamCodec'>
    | Typed<
        'envoy.extensions.filters.http.credential_injector.v3.CredentialInjector',
        {
          readonly overwrite: boolean;
          readonly credential: {
            readonly name: string;
            readonly typed_config: Typed<
              'envoy.extensions.http.injected_credentials.generic.v3.Generic',
              {
                readonly credential: SdsSecretConfig;
                readonly header: string;
                readonly header_value_prefix?: string;
              }
            >;
          };
        }
      >;
}

export type ClusterLoadAssignment = Typed<
  'envoy.config.endpoint.v3.ClusterLoadAssignment',
  {
    readonly cluster_name: string;
    readonly endpoints: readonly LocalityLbEndpoints[];
  }
>;

export interface LocalityLbEndpoints {
  readonly locality?: { readonly zone: string };
  readonly load_balancing_weight?: number;
  readonly lb_endpoints: readonly LbEndpoint[];
}

export interface LbEndpoint {
  readonly endpoint: { readonly address: Address };
  readonly metadata?: Metadata;
}
