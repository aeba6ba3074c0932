import type {
  AccessLog,
  AccessLogFilter,
  ConfigSource,
  Duration,
  HeaderValueOption,
  JsonObject,
  StringMatcher,
  SubstitutionFormat,
  Typed,
} from './envoy-types.ts';
import type { RbacRules } from './envoy-rbac-types.ts';
import type { HttpTracing } from './envoy-trace-types.ts';

// Envoy's http_connection_manager.proto and the HTTP filters in use. See envoy-types.ts for the form.

export type HttpConnectionManager = Typed<
  'envoy.extensions.filters.network.http_connection_manager.v3.HttpConnectionManager',
  {
    readonly stat_prefix: string;
    readonly codec_type?: 'AUTO' | 'HTTP1' | 'HTTP2';
    readonly rds?: {
      readonly route_config_name: string;
      readonly config_source: ConfigSource;
    };
    readonly scoped_routes?: {
      readonly name: string;
      readonly scope_key_builder: {
        readonly fragments: readonly {
          readonly header_value_extractor: { readonly name: string; readonly index: number };
        }[];
      };
      readonly rds_config_source: ConfigSource;
      readonly scoped_rds: { readonly scoped_rds_config_source: ConfigSource };
    };
    readonly http_filters: readonly HttpFilter[];
    readonly tracing?: HttpTracing;
    readonly access_log?: readonly AccessLog[];
    readonly use_remote_address?: boolean;
    readonly skip_xff_append?: boolean;
    readonly generate_request_id?: boolean;
    readonly preserve_external_request_id?: boolean;
    readonly request_id_extension?: {
      readonly typed_config: Typed<
        'envoy.extensions.request_id.uuid.v3.UuidRequestIdConfig',
        {
          readonly pack_trace_reason?: boolean;
          readonly use_request_id_for_trace_sampling?: boolean;
        }
      >;
    };
    readonly forward_client_cert_details?: 'SANITIZE' | 'SANITIZE_SET' | 'FORWARD_ONLY';
    readonly set_current_client_cert_details?: { readonly uri?: boolean };
    readonly early_header_mutation_extensions?: readonly {
      readonly name: string;
      readonly typed_config: EarlyHeaderMutation;
    }[];
    readonly server_header_transformation?: 'OVERWRITE' | 'APPEND_IF_ABSENT' | 'PASS_THROUGH';
    readonly upgrade_configs?: readonly { readonly upgrade_type: string }[];
    readonly normalize_path: boolean;
    readonly merge_slashes: boolean;
    readonly path_with_escaped_slashes_action: 'REJECT_REQUEST';
    readonly common_http_protocol_options?: {
      readonly idle_timeout?: Duration;
      readonly headers_with_underscores_action?: 'ALLOW' | 'REJECT_REQUEST' | 'DROP_HEADER';
      readonly max_headers_count?: number;
      readonly max_requests_per_connection?: number;
    };
    readonly http_protocol_options?: {
      readonly accept_http_10?: boolean;
      readonly allow_absolute_url?: boolean;
    };
    readonly http2_protocol_options?: Http2Options;
    readonly max_request_headers_kb?: number;
    readonly stream_idle_timeout?: Duration;
    readonly request_timeout?: Duration;
    readonly request_headers_timeout?: Duration;
    readonly local_reply_config?: LocalReplyConfig;
    readonly stream_error_on_invalid_http_message?: boolean;
    readonly strip_any_host_port?: boolean;
  }
>;

export interface Http2Options {
  readonly allow_connect?: boolean;
  readonly max_concurrent_streams?: number;
  readonly initial_stream_window_size?: number;
  readonly initial_connection_window_size?: number;
  readonly connection_keepalive?: {
    readonly interval: Duration;
    readonly timeout: Duration;
  };
}

export interface LocalReplyConfig {
  readonly mappers: readonly ResponseMapper[];
  readonly body_format?: SubstitutionFormat;
}

export interface ResponseMapper {
  readonly filter: AccessLogFilter;
  readonly status_code?: number;
  readonly body_format_override?: SubstitutionFormat;
  readonly headers_to_add?: readonly HeaderValueOption[];
}

export interface HttpFilter {
  readonly name: string;
  /** Until the routes have a configuration for it. */
  readonly disabled?: true;
  readonly typed_config: HttpRbac | Router | HeaderMutationFilter | EgressFilter;
}

export type EgressFilter = Typed<
  'envoy.extensions.filters.http.dynamic_forward_proxy.v3.FilterConfig',
  { readonly dns_cache_config: JsonObject }
>;

export type Router = Typed<
  'envoy.extensions.filters.http.router.v3.Router',
  {
    readonly suppress_envoy_headers?: boolean;
    readonly respect_expected_rq_timeout?: boolean;
  }
>;

export type HttpRbac = Typed<'envoy.extensions.filters.http.rbac.v3.RBAC', HttpRbacFields>;

export interface HttpRbacFields {
  readonly rules?: RbacRules;
  readonly shadow_rules?: RbacRules;
  readonly shadow_rules_stat_prefix?: string;
}

export type HttpRbacPerRoute = Typed<
  'envoy.extensions.filters.http.rbac.v3.RBACPerRoute',
  { readonly rbac: HttpRbacFields }
>;

export interface HeaderMutation {
  readonly remove?: string;
  readonly append?: HeaderValueOption;
  readonly remove_on_match?: { readonly key_matcher: StringMatcher };
}

export type EarlyHeaderMutation = Typed<
  'envoy.extensions.http.early_header_mutation.header_mutation.v3.HeaderMutation',
  { readonly mutations: readonly HeaderMutation[] }
>;

export type HeaderMutationFilter = Typed<
  'envoy.extensions.filters.http.header_mutation.v3.HeaderMutation',
  {
    readonly mutations: {
      readonly request_mutations?: readonly HeaderMutation[];
      readonly response_mutations?: readonly HeaderMutation[];
    };
  }
>;
