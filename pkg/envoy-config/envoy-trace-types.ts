import type { Duration, Typed } from './envoy-types.ts';

// Envoy's tracing: HttpConnectionManager.Tracing, custom_tag.proto, opentelemetry.proto. See envoy-types.ts for the form.

export interface HttpTracing {
  readonly client_sampling?: { readonly value: number };
  readonly random_sampling?: { readonly value: number };
  readonly overall_sampling?: { readonly value: number };
  readonly custom_tags?: readonly CustomTag[];
  readonly provider: {
    readonly name: string;
    readonly typed_config: OpenTelemetryConfig;
  };
  readonly spawn_upstream_span: boolean;
  readonly operation?: string;
  readonly max_path_tag_length?: number;
}

export interface MetadataKind {
  readonly request?: Record<string, never>;
  readonly route?: Record<string, never>;
  readonly cluster?: Record<string, never>;
  readonly host?: Record<string, never>;
}

export interface CustomTag {
  readonly tag: string;
  readonly literal?: { readonly value: string };
  readonly environment?: {
    readonly name: string;
    readonly default_value?: string;
  };
  readonly request_header?: {
    readonly name: string;
    readonly default_value?: string;
  };
  readonly metadata?: {
    readonly kind: MetadataKind;
    readonly metadata_key: {
      readonly key: string;
      readonly path: readonly { readonly key: string }[];
    };
    readonly default_value?: string;
  };
  /** A format string, as in an access log. */
  readonly value?: string;
  readonly value_type?: 'STRING' | 'INT';
}

export type OpenTelemetryConfig = Typed<
  'envoy.config.trace.v3.OpenTelemetryConfig',
  {
    readonly service_name?: string;
    readonly http_service: {
      readonly http_uri: {
        readonly uri: string;
        readonly cluster: string;
        readonly timeout: Duration;
      };
    };
    readonly resource_detectors?: readonly {
      readonly name: string;
      readonly typed_config: Typed<'envoy.extensions.tracers.opentelemetry.resource_detectors.v3.EnvironmentResourceDetectorConfig'>;
    }[];
    readonly sampler: {
      readonly name: string;
      readonly typed_config: ParentBasedSampler;
    };
  }
>;

export type ParentBasedSampler = Typed<
  'envoy.extensions.tracers.opentelemetry.samplers.v3.ParentBasedSamplerConfig',
  {
    readonly wrapped_sampler: {
      readonly name: string;
      readonly typed_config: RatioSampler;
    };
  }
>;

export type RatioSampler = Typed<
  'envoy.extensions.tracers.opentelemetry.samplers.v3.TraceIdRatioBasedSamplerConfig',
  {
    readonly sampling_percentage: {
      readonly numerator: number;
      readonly denominator: 'MILLION';
    };
  }
>;
