import type { BootstrapOptions } from './bootstrap.ts';
import type { Cluster, HttpProtocolOptions, UpstreamFilter } from './envoy-cluster-types.ts';
import type { Address, SdsSecretConfig, TransportSocket } from './envoy-types.ts';
import { otlpCluster, xdsCluster } from './names.ts';
import { tls13 } from './tls.ts';

// The clusters that lead to the control plane; what else a sidecar talks to comes over ADS.

export type StaticCluster = Omit<Cluster, '@type'>;
type Trust = NonNullable<BootstrapOptions['xdsTrust']>;

/** Secrets that come from files beside the bootstrap. */
export const tokenSecret = 'tulle-token';
export const controllerRoots = 'tulle-controller-roots';

/**
 * The directory is watched: a projected volume is exchanged by one rename of the link that all its files stand behind,
 * which whoever watches a file does not see.
 */
function fromFile(name: string, directory: string, file: 'sds-token.json' | 'sds-roots.json'): SdsSecretConfig {
  return {
    name,
    sds_config: {
      path_config_source: { path: `${directory}/${file}`, watched_directory: { path: directory } },
      resource_api_version: 'V3',
    },
  };
}

export function toXdsCluster({ xds, xdsTrust, nameLookup }: BootstrapOptions): StaticCluster {
  return {
    name: xdsCluster,
    ...toAddressing(xdsCluster, xds, nameLookup),
    typed_extension_protocol_options: {
      'envoy.extensions.upstreams.http.v3.HttpProtocolOptions': {
        '@type': 'type.googleapis.com/envoy.extensions.upstreams.http.v3.HttpProtocolOptions',
        explicit_http_config: {
          // A dead control plane is noticed, and the stream opened again elsewhere.
          http2_protocol_options: {
            connection_keepalive: { interval: '30s', timeout: '10s' },
          },
        },
        ...(xdsTrust ? { http_filters: toTokenFilters(xdsTrust) } : {}),
      },
    },
    ...(xdsTrust ? { transport_socket: toTls(xdsTrust, 'h2') } : {}),
  };
}

/** `otlpTrust`: the control plane takes the spans itself, by the same certificate and token as the stream. */
export function toOtlpCluster({ otlp, otlpTrust, nameLookup }: BootstrapOptions): StaticCluster {
  return {
    name: otlpCluster,
    ...toAddressing(otlpCluster, otlp, nameLookup),
    ...(otlpTrust
      ? {
          typed_extension_protocol_options: {
            'envoy.extensions.upstreams.http.v3.HttpProtocolOptions': toOtlpProtocol(otlpTrust),
          },
          transport_socket: toTls(otlpTrust, 'http/1.1'),
        }
      : {}),
  };
}

function toOtlpProtocol(trust: Trust): HttpProtocolOptions {
  return {
    '@type': 'type.googleapis.com/envoy.extensions.upstreams.http.v3.HttpProtocolOptions',
    explicit_http_config: { http_protocol_options: {} },
    // Shorter than the receiver keeps an idle connection, so that no span is sent into one that is just closed.
    common_http_protocol_options: { idle_timeout: '4s' },
    http_filters: toTokenFilters(trust),
  };
}

/** Adds the bearer token to each request, as the file says it then (DECISIONS I4). */
function toTokenFilters(trust: Trust): readonly UpstreamFilter[] {
  return [
    {
      name: 'envoy.filters.http.credential_injector',
      typed_config: {
        '@type': 'type.googleapis.com/envoy.extensions.filters.http.credential_injector.v3.CredentialInjector',
        overwrite: true,
        credential: {
          name: 'envoy.http.injected_credentials.generic',
          typed_config: {
            '@type': 'type.googleapis.com/envoy.extensions.http.injected_credentials.generic.v3.Generic',
            credential: fromFile(tokenSecret, trust.directory, 'sds-token.json'),
            header: 'authorization',
            header_value_prefix: 'Bearer ',
          },
        },
      },
    },
    {
      name: 'envoy.filters.http.upstream_codec',
      typed_config: {
        '@type': 'type.googleapis.com/envoy.extensions.filters.http.upstream_codec.v3.UpstreamCodec',
      },
    },
  ];
}

function toTls(trust: Trust, protocol: 'h2' | 'http/1.1'): TransportSocket {
  return {
    name: 'envoy.transport_sockets.tls',
    typed_config: {
      '@type': 'type.googleapis.com/envoy.extensions.transport_sockets.tls.v3.UpstreamTlsContext',
      sni: trust.serverName,
      common_tls_context: {
        tls_params: tls13,
        alpn_protocols: [protocol],
        validation_context_sds_secret_config: fromFile(controllerRoots, trust.directory, 'sds-roots.json'),
      },
    },
  };
}

function toAddressing(
  name: string,
  address: Address,
  lookup: BootstrapOptions['nameLookup'],
): Pick<StaticCluster, 'type' | 'cluster_type' | 'connect_timeout' | 'load_assignment'> {
  const named = address.socket_address !== undefined && !isIp(address.socket_address.address);
  return {
    ...(named && lookup
      ? { cluster_type: toDnsCluster(lookup) }
      : { type: named ? ('STRICT_DNS' as const) : ('STATIC' as const) }),
    connect_timeout: '5s',
    load_assignment: {
      cluster_name: name,
      endpoints: [{ lb_endpoints: [{ endpoint: { address } }] }],
    },
  };
}

function toDnsCluster({
  families,
}: NonNullable<BootstrapOptions['nameLookup']>): NonNullable<StaticCluster['cluster_type']> {
  return {
    name: 'envoy.clusters.dns',
    typed_config: {
      '@type': 'type.googleapis.com/envoy.extensions.clusters.dns.v3.DnsCluster',
      dns_lookup_family: families,
      // The address of a Service hardly ever changes; a thousand sidecars that asked every 5 s would be felt.
      dns_refresh_rate: '60s',
      dns_failure_refresh_rate: { base_interval: '0.2s', max_interval: '2s' },
    },
  };
}

function isIp(host: string): boolean {
  return /^[0-9.]+$/.test(host) || host.includes(':');
}
