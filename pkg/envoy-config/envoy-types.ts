/**
 * The fields of Envoy's API that Tulle uses, named as in Envoy's .proto files, so that a misspelt field does not compile.
 * Values are in the JSON form of proto3: an Any is an object with `@type`, a Duration is `'5s'`, a wrapper is its plain value,
 * an enum its name, a Struct plain JSON. So every object here is also a piece of Envoy YAML.
 */
export type Json = null | boolean | number | string | readonly Json[] | { readonly [key: string]: Json };
export type JsonObject = { readonly [key: string]: Json };

/** A message inside a `google.protobuf.Any`. */
export type Typed<Name extends string, Fields = unknown> = {
  readonly '@type': `type.googleapis.com/${Name}`;
} & Fields;

/** `'0.25s'` */
export type Duration = `${number}s`;

// ---- core

export interface Metadata {
  readonly filter_metadata: Readonly<Record<string, JsonObject>>;
}

export interface Address {
  readonly socket_address?: {
    readonly address: string;
    readonly port_value: number;
  };
  readonly pipe?: { readonly path: string; readonly mode?: number };
  readonly envoy_internal_address?: {
    readonly server_listener_name: string;
    readonly endpoint_id?: string;
  };
}

export interface ConfigSource {
  readonly ads?: Record<string, never>;
  readonly path_config_source?: {
    readonly path: string;
    readonly watched_directory?: { readonly path: string };
  };
  readonly resource_api_version: 'V3';
  readonly initial_fetch_timeout?: Duration;
}

export interface StringMatcher {
  readonly exact?: string;
  readonly prefix?: string;
  readonly safe_regex?: { readonly regex: string };
}

export interface HeaderValueOption {
  readonly header: { readonly key: string; readonly value: string };
  readonly append_action?:
    'ADD_IF_ABSENT' | 'OVERWRITE_IF_EXISTS_OR_ADD' | 'OVERWRITE_IF_EXISTS' | 'APPEND_IF_EXISTS_OR_ADD';
}

export interface SubstitutionFormat {
  readonly text_format_source?: { readonly inline_string: string };
  readonly json_format?: JsonObject;
  readonly content_type?: string;
  readonly omit_empty_values?: boolean;
}

export interface HeaderMatcher {
  readonly name: string;
  readonly string_match?: StringMatcher;
  readonly present_match?: boolean;
  readonly invert_match?: boolean;
}

// ---- access log

export interface AccessLogFilter {
  readonly status_code_filter?: {
    readonly comparison: {
      readonly op: 'EQ' | 'GE' | 'LE' | 'NE';
      readonly value: {
        readonly default_value: number;
        readonly runtime_key: string;
      };
    };
  };
  readonly response_flag_filter?: { readonly flags?: readonly string[] };
  readonly header_filter?: {
    readonly header: HeaderMatcher;
  };
  readonly and_filter?: { readonly filters: readonly AccessLogFilter[] };
  readonly or_filter?: { readonly filters: readonly AccessLogFilter[] };
}

export interface AccessLog {
  readonly name: string;
  readonly filter?: AccessLogFilter;
  readonly typed_config: StdoutAccessLog;
}

export type StdoutAccessLog = Typed<
  'envoy.extensions.access_loggers.stream.v3.StdoutAccessLog',
  { readonly log_format: SubstitutionFormat }
>;

// ---- TLS

export interface SdsSecretConfig {
  readonly name: string;
  readonly sds_config: ConfigSource;
}

export interface SanMatcher {
  readonly san_type: 'URI' | 'DNS';
  readonly matcher: StringMatcher;
}

export interface CertificateValidationContext {
  readonly trusted_ca?: {
    readonly filename?: string;
    readonly inline_string?: string;
  };
  readonly watched_directory?: { readonly path: string };
  readonly match_typed_subject_alt_names?: readonly SanMatcher[];
}

export interface CommonTlsContext {
  readonly tls_params: {
    readonly tls_minimum_protocol_version: 'TLSv1_3';
    readonly tls_maximum_protocol_version: 'TLSv1_3';
  };
  readonly alpn_protocols?: readonly string[];
  readonly tls_certificate_sds_secret_configs?: readonly SdsSecretConfig[];
  readonly validation_context?: CertificateValidationContext;
  readonly validation_context_sds_secret_config?: SdsSecretConfig;
  readonly combined_validation_context?: {
    readonly default_validation_context: CertificateValidationContext;
    readonly validation_context_sds_secret_config: SdsSecretConfig;
  };
}

export interface TransportSocket {
  readonly name: string;
  readonly typed_config:
    | Typed<
        'envoy.extensions.transport_sockets.tls.v3.UpstreamTlsContext',
        { readonly common_tls_context: CommonTlsContext; readonly sni?: string }
      >
    | Typed<
        'envoy.extensions.transport_sockets.tls.v3.DownstreamTlsContext',
        {
          readonly common_tls_context: CommonTlsContext;
          readonly require_client_certificate: boolean;
          readonly disable_stateless_session_resumption?: boolean;
          readonly disable_stateful_session_resumption?: boolean;
        }
      >
    | Typed<'envoy.extensions.transport_sockets.raw_buffer.v3.RawBuffer'>;
}

/** A secret as Tulle's control plane sends it; the certificates in it are not of this translation. */
export type Secret = Typed<'envoy.extensions.transport_sockets.tls.v3.Secret', { readonly name: string }>;
