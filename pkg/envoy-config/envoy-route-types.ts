import type { HttpRbacPerRoute } from './envoy-http-types.ts';
import type { HeaderMatcher } from './envoy-types.ts';
import type { Duration, HeaderValueOption, Metadata, Typed } from './envoy-types.ts';
import type { CustomTag } from './envoy-trace-types.ts';

// Envoy's route.proto and route_components.proto, as far as they are in use. See envoy-types.ts for the form.

export type RouteConfiguration = Typed<
  'envoy.config.route.v3.RouteConfiguration',
  {
    readonly name: string;
    readonly virtual_hosts: readonly VirtualHost[];
    readonly typed_per_filter_config?: Readonly<Record<string, HttpRbacPerRoute>>;
    readonly response_headers_to_remove?: readonly string[];
    readonly request_headers_to_add?: readonly HeaderValueOption[];
    readonly request_headers_to_remove?: readonly string[];
    readonly most_specific_header_mutations_wins?: boolean;
    readonly ignore_port_in_host_matching?: boolean;
  }
>;

export interface VirtualHost {
  readonly name: string;
  readonly domains: readonly string[];
  readonly metadata?: Metadata;
  readonly routes?: readonly Route[];
  readonly retry_policy?: RetryPolicy;
}

export type ScopedRouteConfiguration = Typed<
  'envoy.config.route.v3.ScopedRouteConfiguration',
  {
    readonly name: string;
    readonly key: { readonly fragments: readonly { readonly string_key: string }[] };
    readonly route_configuration: Omit<RouteConfiguration, '@type'>;
  }
>;

export interface Route {
  readonly name?: string;
  readonly match: RouteMatch;
  readonly route?: RouteAction;
  readonly direct_response?: {
    readonly status: number;
    readonly body?: { readonly inline_string: string };
  };
  readonly metadata?: Metadata;
  readonly decorator?: {
    readonly operation: string;
    readonly propagate: boolean;
  };
  readonly tracing?: {
    readonly custom_tags?: readonly CustomTag[];
    readonly operation?: string;
  };
  readonly request_headers_to_add?: readonly HeaderValueOption[];
  readonly typed_per_filter_config?: Readonly<Record<string, HeaderMutationPerRoute>>;
}

/** Its presence turns the filter on. */
export type HeaderMutationPerRoute = Typed<
  'envoy.extensions.filters.http.header_mutation.v3.HeaderMutationPerRoute',
  Record<never, never>
>;

export interface RouteMatch {
  readonly prefix?: string;
  readonly safe_regex?: { readonly regex: string };
  readonly connect_matcher?: Record<string, never>;
  readonly headers?: readonly HeaderMatcher[];
}

export interface RouteAction {
  readonly cluster?: string;
  readonly weighted_clusters?: {
    readonly clusters: readonly {
      readonly name: string;
      readonly weight: number;
    }[];
  };
  readonly metadata_match?: Metadata;
  readonly timeout: Duration;
  readonly retry_policy?: RetryPolicy;
  readonly upgrade_configs?: readonly {
    readonly upgrade_type: string;
    readonly enabled?: boolean;
    readonly connect_config?: Record<string, never>;
  }[];
}

export interface RetryPolicy {
  readonly retry_on: string;
  readonly num_retries: number;
  readonly retry_host_predicate?: readonly {
    readonly name: string;
    readonly typed_config: Typed<string>;
  }[];
  readonly host_selection_retry_max_attempts?: string;
  readonly retry_back_off?: {
    readonly base_interval: Duration;
    readonly max_interval: Duration;
  };
}
