import type { MeshSettings } from '../policy/proxy-policy.ts';
import { toHttpAccessLog } from './access-log.ts';
import { http2Options } from './cluster.ts';
import { ads } from './config-source.ts';
import { inboundReplies } from './denial.ts';
import type { HttpConnectionManager, HttpFilter, LocalReplyConfig } from './envoy-http-types.ts';
import type { NetworkFilter } from './envoy-listener-types.ts';
import { inboundFilters, toEarlyMutation } from './http-filters.ts';
import { scopedRoutes } from './names.ts';
import { dialledHeader } from './route.ts';
import { toTracing } from './tracing.ts';

const inboundLog = toHttpAccessLog('inbound');
const outboundLog = toHttpAccessLog('outbound');

export interface HttpChain {
  /** `proxy`: out, through the explicit proxy. */
  readonly direction: 'inbound' | 'outbound' | 'proxy';
  readonly settings: MeshSettings;
  /** In stats: `http.<statPrefix>.…`. */
  readonly statPrefix: string;
  /** Name of the RouteConfiguration; absent: the address that was dialled chooses among all (scoped-route.ts). */
  readonly routes?: string;
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
    tracing: toTracing(settings.tracing.sampling, routes === undefined ? 'byAddress' : 'byRoute'),
    access_log: [direction === 'inbound' ? inboundLog : outboundLog],
    early_header_mutation_extensions: toEarlyMutation(settings.tracing.sampling, {
      tellDialled: routes === undefined,
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
    },
    stream_idle_timeout: '3600s',
    request_headers_timeout: '10s',
    local_reply_config: replies,
  };
}

function toRoutes(routes: string | undefined): Pick<HttpConnectionManager, 'rds' | 'scoped_routes'> {
  if (routes !== undefined) return { rds: { route_config_name: routes, config_source: ads } };
  return {
    scoped_routes: {
      name: scopedRoutes,
      scope_key_builder: { fragments: [{ header_value_extractor: { name: dialledHeader, index: 0 } }] },
      rds_config_source: ads,
      scoped_rds: { scoped_rds_config_source: ads },
    },
  };
}
