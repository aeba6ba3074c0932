import type { MeshSettings } from '../policy/proxy-policy.ts';
import { toHttpAccessLog } from './access-log.ts';
import { http2Options } from './cluster.ts';
import { ads } from './config-source.ts';
import { inboundReplies } from './denial.ts';
import type { HttpConnectionManager, HttpFilter, LocalReplyConfig } from './envoy-http-types.ts';
import type { NetworkFilter } from './envoy-listener-types.ts';
import type { RouteConfiguration } from './envoy-route-types.ts';
import { inboundFilters, toEarlyMutation } from './http-filters.ts';
import { toTracing } from './tracing.ts';

const inboundLog = toHttpAccessLog('inbound');
const outboundLog = toHttpAccessLog('outbound');

export type InlineRoutes = Omit<RouteConfiguration, '@type'>;

export interface HttpChain {
  /** `denied`: out, to what may not be reached. `proxy`: out, through the explicit proxy. */
  readonly direction: 'inbound' | 'outbound' | 'denied' | 'proxy';
  readonly settings: MeshSettings;
  /** In stats: `http.<statPrefix>.…`. */
  readonly statPrefix: string;
  /** Name of the RouteConfiguration, or the configuration itself. */
  readonly routes: string | InlineRoutes;
  readonly filters: readonly HttpFilter[];
  readonly replies: LocalReplyConfig;
  /** From another sidecar, which has written W3C whatever it was given. */
  readonly fromSidecar?: true;
}

export function toHttpConnectionManager(chain: HttpChain): NetworkFilter {
  return {
    name: 'envoy.filters.network.http_connection_manager',
    typed_config: toConfig(chain),
  };
}

export function toInboundManager(
  settings: MeshSettings,
  port: number,
  routes: string,
  from: 'sidecar' | 'anybody',
): NetworkFilter {
  return toHttpConnectionManager({
    direction: 'inbound',
    settings,
    statPrefix: `inbound/${port}`,
    routes,
    filters: inboundFilters,
    replies: inboundReplies,
    ...(from === 'sidecar' ? { fromSidecar: true } : {}),
  });
}

function toConfig({
  direction,
  settings,
  statPrefix,
  routes,
  filters,
  replies,
  fromSidecar,
}: HttpChain): HttpConnectionManager {
  return {
    '@type': 'type.googleapis.com/envoy.extensions.filters.network.http_connection_manager.v3.HttpConnectionManager',
    stat_prefix: statPrefix,
    ...toRoutes(routes),
    http_filters: filters,
    tracing: toTracing(settings.tracing.sampling, direction),
    access_log: [direction === 'inbound' ? inboundLog : outboundLog],
    early_header_mutation_extensions: toEarlyMutation(settings.tracing.sampling, {
      tellDialled: direction === 'denied',
      readB3: fromSidecar !== true,
    }),
    // Paths are normalised once, before anything is matched, and that is what the app gets (DECISIONS S14).
    normalize_path: true,
    merge_slashes: true,
    path_with_escaped_slashes_action: 'REJECT_REQUEST',
    // Headers of the app stay as they are (DECISIONS E12).
    use_remote_address: false,
    skip_xff_append: true,
    server_header_transformation: 'PASS_THROUGH',
    generate_request_id: false,
    preserve_external_request_id: true,
    request_id_extension: {
      typed_config: {
        '@type': 'type.googleapis.com/envoy.extensions.request_id.uuid.v3.UuidRequestIdConfig',
        pack_trace_reason: false,
        use_request_id_for_trace_sampling: false,
      },
    },
    ...(direction === 'inbound'
      ? {
          forward_client_cert_details: 'SANITIZE_SET',
          set_current_client_cert_details: { uri: true },
        }
      : { forward_client_cert_details: 'SANITIZE' }),
    upgrade_configs: [{ upgrade_type: 'websocket' }, ...(direction === 'proxy' ? [{ upgrade_type: 'CONNECT' }] : [])],
    http_protocol_options: { accept_http_10: true },
    http2_protocol_options: {
      ...http2Options,
      allow_connect: true,
      max_concurrent_streams: 1000,
    },
    common_http_protocol_options: {
      idle_timeout: '3600s',
      max_headers_count: 100,
      // A connection stays where it was accepted: the app's next one comes to the Service, once it may be reached.
      ...(direction === 'denied' ? { max_requests_per_connection: 1 } : {}),
    },
    stream_idle_timeout: '3600s',
    request_headers_timeout: '10s',
    local_reply_config: replies,
  };
}

function toRoutes(routes: string | InlineRoutes): Pick<HttpConnectionManager, 'rds' | 'route_config'> {
  return typeof routes === 'string'
    ? { rds: { route_config_name: routes, config_source: ads } }
    : { route_config: routes };
}
