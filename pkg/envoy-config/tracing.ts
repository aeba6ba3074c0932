import type { CustomTag, HttpTracing, MetadataKind } from './envoy-trace-types.ts';
import { otlpCluster } from './names.ts';
import { rbacKeys, rbacMetadata } from './rbac.ts';
import { rehearsedReason, rehearsedVerdict, toldReason } from './refusal-reason.ts';

const million = 1_000_000;

/** Share of traces, in millionths: what Envoy's sampler counts in. */
function toMillionths(sampling: number): number {
  return Math.min(million, Math.max(0, Math.round(sampling * million)));
}

/**
 * One span per hop (DECISIONS E8). What Envoy writes of the request itself has older names (`http.method`, `http.url`,
 * `http.status_code`); pkg/observability/envoy-span.ts makes the same of it as of a span of the Node sidecar, since each
 * tag costs a microsecond a request here. Who the process is comes from its environment (`OTEL_RESOURCE_ATTRIBUTES`), so that
 * proxies of different workloads can share a listener's configuration.
 */
export function toTracing(sampling: number, tags: 'byRoute' | 'byAddress'): HttpTracing {
  return {
    provider: {
      name: 'envoy.tracers.opentelemetry',
      typed_config: {
        '@type': 'type.googleapis.com/envoy.config.trace.v3.OpenTelemetryConfig',
        http_service: {
          http_uri: {
            uri: 'http://tulle-otlp/v1/traces',
            cluster: otlpCluster,
            timeout: '5s',
          },
        },
        resource_detectors: [
          {
            name: 'envoy.tracers.opentelemetry.resource_detectors.environment',
            typed_config: {
              '@type':
                'type.googleapis.com/envoy.extensions.tracers.opentelemetry.resource_detectors.v3.EnvironmentResourceDetectorConfig',
            },
          },
        ],
        sampler: {
          name: 'envoy.tracers.opentelemetry.samplers.parent_based',
          typed_config: {
            '@type': 'type.googleapis.com/envoy.extensions.tracers.opentelemetry.samplers.v3.ParentBasedSamplerConfig',
            wrapped_sampler: {
              name: 'envoy.tracers.opentelemetry.samplers.trace_id_ratio_based',
              typed_config: {
                '@type':
                  'type.googleapis.com/envoy.extensions.tracers.opentelemetry.samplers.v3.TraceIdRatioBasedSamplerConfig',
                sampling_percentage: {
                  numerator: toMillionths(sampling),
                  denominator: 'MILLION',
                },
              },
            },
          },
        },
      },
    },
    spawn_upstream_span: false,
    max_path_tag_length: 2048,
    ...(tags === 'byAddress'
      ? { operation: '%REQ(:METHOD)% %METADATA(ROUTE:tulle:span)%', custom_tags: addressTags }
      : {}),
  };
}

export const grpcTags: readonly CustomTag[] = [
  { tag: 'rpc.system', literal: { value: 'grpc' } },
  { tag: 'rpc.grpc.status_code', value: '%GRPC_STATUS_NUMBER%' },
];

export function toLiteral(tag: string, value: string): CustomTag {
  return { tag, literal: { value } };
}

function toRbacTag(tag: string, key: string): CustomTag {
  return {
    tag,
    metadata: {
      kind: { request: {} },
      metadata_key: { key: rbacMetadata, path: [{ key }] },
    },
  };
}

export function inboundVerdictTags(enforced: boolean): readonly CustomTag[] {
  return [
    toLiteral('tulle.direction', 'inbound'),
    { tag: 'tulle.source', value: '%DOWNSTREAM_PEER_URI_SAN%' },
    toRbacTag('tulle.rule', enforced ? rbacKeys.enforcedRule : rbacKeys.wouldRule),
    toRbacTag('tulle.shadow', rbacKeys.rehearsed),
    ...(enforced
      ? [toRbacTag('tulle.verdict', rbacKeys.enforcedResult), { tag: 'tulle.reason', value: toldReason }]
      : [
          { tag: 'tulle.verdict', value: rehearsedVerdict },
          { tag: 'tulle.reason', value: rehearsedReason },
        ]),
  ];
}

const outboundTag: CustomTag = toLiteral('tulle.direction', 'outbound');

const sourceTag: CustomTag = {
  tag: 'tulle.source',
  environment: { name: 'TULLE_SOURCE', default_value: 'unknown' },
};

/** Whom the request really went to, from the metadata of cluster and endpoint. */
export const outboundPeerTags: readonly CustomTag[] = [
  outboundTag,
  sourceTag,
  toTulleTag('tulle.backend', { cluster: {} }, 'backend'),
  toTulleTag('tulle.pod', { host: {} }, 'pod'),
  toTulleTag('tulle.destination', { host: {} }, 'destination'),
];

/** What routes by address say of themselves in their metadata; what one doesn't say is left out. */
const addressTags: readonly CustomTag[] = [
  ...outboundPeerTags,
  ...['service', 'split', 'verdict', 'reason'].map((key) => toTulleTag(`tulle.${key}`, { route: {} }, key)),
];

export const deniedTags: readonly CustomTag[] = [
  outboundTag,
  sourceTag,
  toTulleTag('tulle.service', { route: {} }, 'service'),
  toLiteral('tulle.verdict', 'denied'),
  toLiteral('tulle.reason', 'SourceNotAllowed'),
];

function toTulleTag(tag: string, kind: MetadataKind, key: string): CustomTag {
  return {
    tag,
    metadata: { kind, metadata_key: { key: 'tulle', path: [{ key }] } },
  };
}
