import type {
  AccessLog,
  Address,
  ConfigSource,
  Duration,
  Metadata,
  StringMatcher,
  SubstitutionFormat,
  TransportSocket,
  Typed,
} from './envoy-types.ts';
import type { HttpConnectionManager } from './envoy-http-types.ts';
import type { RbacRules } from './envoy-rbac-types.ts';

// Envoy's listener.proto and the network filters in use. See envoy-types.ts for the form.

export type Listener = Typed<
  'envoy.config.listener.v3.Listener',
  {
    readonly name: string;
    readonly address?: Address;
    readonly internal_listener?: Record<string, never>;
    readonly stat_prefix?: string;
    readonly bind_to_port?: boolean;
    readonly use_original_dst?: boolean;
    readonly traffic_direction: 'INBOUND' | 'OUTBOUND';
    readonly listener_filters?: readonly ListenerFilter[];
    readonly listener_filters_timeout?: Duration;
    readonly continue_on_listener_filters_timeout?: boolean;
    readonly filter_chains?: readonly FilterChain[];
    readonly filter_chain_matcher?: FilterChainMatcher;
    readonly default_filter_chain?: FilterChain;
    readonly access_log?: readonly AccessLog[];
    readonly per_connection_buffer_limit_bytes?: number;
  }
>;

export interface ListenerFilter {
  readonly name: string;
  readonly typed_config?:
    | Typed<'envoy.extensions.filters.listener.tls_inspector.v3.TlsInspector'>
    | Typed<'envoy.extensions.filters.listener.original_dst.v3.OriginalDst'>
    | ListenerFilterState;
  /** The configuration comes by itself, so that a change of it changes no listener. */
  readonly config_discovery?: {
    readonly config_source: ConfigSource;
    readonly type_urls: readonly string[];
  };
  readonly filter_disabled?: PortPredicate;
}

export interface PortPredicate {
  readonly destination_port_range?: {
    readonly start: number;
    readonly end: number;
  };
  readonly or_match?: { readonly rules: readonly PortPredicate[] };
}

export type ExtensionConfig = Typed<
  'envoy.config.core.v3.TypedExtensionConfig',
  { readonly name: string; readonly typed_config: ListenerFilterState }
>;

interface FilterStateValue {
  readonly object_key: string;
  readonly factory_key?: string;
  readonly format_string: SubstitutionFormat;
  readonly skip_if_empty?: boolean;
}

export type ListenerFilterState = Typed<
  'envoy.extensions.filters.listener.set_filter_state.v3.Config',
  { readonly on_accept: readonly FilterStateValue[] }
>;

/** xds.type.matcher: a chain by name for each value that the input may have. */
export interface FilterChainMatcher {
  readonly matcher_tree: {
    readonly input: {
      readonly name: string;
      readonly typed_config: Typed<
        'envoy.extensions.matching.common_inputs.network.v3.FilterStateInput',
        { readonly key: string }
      >;
    };
    readonly exact_match_map: {
      readonly map: Readonly<
        Record<
          string,
          {
            readonly action: {
              readonly name: string;
              readonly typed_config: Typed<'google.protobuf.StringValue', { readonly value: string }>;
            };
          }
        >
      >;
    };
  };
}

export interface FilterChain {
  readonly name: string;
  readonly filter_chain_match?: FilterChainMatch;
  readonly filters: readonly NetworkFilter[];
  readonly transport_socket?: TransportSocket;
  readonly transport_socket_connect_timeout?: Duration;
}

export interface FilterChainMatch {
  readonly destination_port?: number;
  readonly transport_protocol?: 'tls' | 'raw_buffer';
  readonly source_prefix_ranges?: readonly {
    readonly address_prefix: string;
    readonly prefix_len: number;
  }[];
}

export interface NetworkFilter {
  readonly name: string;
  readonly typed_config: HttpConnectionManager | TcpProxy | NetworkRbac;
}

export type TcpProxy = Typed<
  'envoy.extensions.filters.network.tcp_proxy.v3.TcpProxy',
  {
    readonly stat_prefix: string;
    readonly cluster: string;
    readonly metadata_match?: Metadata;
    readonly idle_timeout?: Duration;
    readonly max_connect_attempts?: number;
    readonly upstream_connect_mode?: 'ON_DOWNSTREAM_TLS_HANDSHAKE' | 'ON_DOWNSTREAM_DATA';
    readonly max_downstream_connection_duration?: Duration;
    readonly max_early_data_bytes?: number;
    readonly access_log_options?: { readonly flush_access_log_on_connected: boolean };
    readonly access_log?: readonly AccessLog[];
  }
>;

export type NetworkRbac = Typed<
  'envoy.extensions.filters.network.rbac.v3.RBAC',
  {
    readonly stat_prefix: string;
    readonly rules?: RbacRules;
    readonly shadow_rules?: RbacRules;
    readonly shadow_rules_stat_prefix?: string;
  }
>;

export type { StringMatcher };
