import type { EndpointSet } from '../policy/endpoints.ts';
import type { ServiceIdentity } from '../policy/identity.ts';
import type { EndpointSetKey, OutboundService, ServicePortKey } from '../policy/outbound.ts';
import { ads } from './config-source.ts';
import { hasPlaintext, identitiesOf, isSplit, nobodyMatch, tcpBackends, toPeerMatch } from './endpoint.ts';
import type { Cluster, HttpProtocolOptions, OutlierDetection } from './envoy-cluster-types.ts';
import type { Http2Options } from './envoy-http-types.ts';
import {
  appCluster,
  endpointsCluster,
  firstHopCluster,
  nowhereCluster,
  ownAddressCluster,
  ownAddressSource,
  passthroughCluster,
  tcpCluster,
} from './names.ts';
import { b3Injection, mayBeUndecided } from './b3.ts';
import { rawBuffer, toClientTls } from './tls.ts';

const connectTimeout = '5s';

/** Windows that keep one slow stream from holding more than this in memory; Envoy's own default is 16 MiB and 24 MiB. */
export const http2Options: Http2Options = {
  initial_stream_window_size: 1024 * 1024,
  initial_connection_window_size: 4 * 1024 * 1024,
};

/** HTTP/1.1 stays HTTP/1.1, HTTP/2 stays HTTP/2: the app's own version is kept end to end. */
const sameProtocol: HttpProtocolOptions = {
  '@type': 'type.googleapis.com/envoy.extensions.upstreams.http.v3.HttpProtocolOptions',
  use_downstream_protocol_config: {
    http_protocol_options: {},
    http2_protocol_options: { ...http2Options, allow_connect: true },
  },
};

/** A peer that answers 502, 503 or 504, or doesn't answer, five times in a row is left out for a while. */
const ejection: OutlierDetection = {
  split_external_local_origin_errors: true,
  consecutive_local_origin_failure: 3,
  consecutive_gateway_failure: 5,
  enforcing_consecutive_gateway_failure: 0,
  enforcing_consecutive_5xx: 0,
  enforcing_success_rate: 0,
  enforcing_local_origin_success_rate: 0,
  enforcing_consecutive_local_origin_failure: 100,
  interval: '1s',
  base_ejection_time: '2s',
  max_ejection_time: '30s',
  max_ejection_percent: 100,
};

/** Envoy's defaults of 1,024 would answer 503 to an app that its own limits allow more; E11's limit holds before these. */
const unbounded = 1_000_000;
const circuitBreakers = {
  thresholds: [
    {
      max_connections: unbounded,
      max_pending_requests: unbounded,
      max_requests: unbounded,
      max_retries: 1024,
    },
  ],
};

/** Where the requests of an HTTP Service port, or of one backend, go. */
export function toEndpointsCluster(set: EndpointSet, headless: boolean): Cluster {
  return {
    ...toEdsCluster(endpointsCluster(set.key), [set], set.key),
    lb_policy: 'LEAST_REQUEST',
    // Panic only when every endpoint is left out: then trying is better than refusing.
    common_lb_config: { healthy_panic_threshold: { value: 1 } },
    ...(headless
      ? {
          lb_subset_config: {
            fallback_policy: 'ANY_ENDPOINT',
            subset_selectors: [{ keys: ['pod'], fallback_policy: 'NO_FALLBACK' }],
          },
        }
      : {}),
    typed_extension_protocol_options: { [httpOptions]: sameProtocol },
    metadata: {
      filter_metadata: { tulle: { backend: toServiceName(set.key) } },
    },
  };
}

const httpOptions = 'envoy.extensions.upstreams.http.v3.HttpProtocolOptions';

/** Where the connections of a TCP Service port go: the backends of its split, as localities (DECISIONS E5). */
export function toTcpCluster(service: OutboundService, sets: ReadonlyMap<EndpointSetKey, EndpointSet>): Cluster {
  const reached = tcpBackends(service).flatMap((backend) => sets.get(backend.endpoints) ?? []);
  return {
    ...toEdsCluster(tcpCluster(service.key), reached, service.key, isSplit(service)),
    lb_policy: 'ROUND_ROBIN',
    common_lb_config: {
      healthy_panic_threshold: { value: 1 },
      locality_weighted_lb_config: {},
    },
    ...(service.headless
      ? {
          lb_subset_config: {
            fallback_policy: 'ANY_ENDPOINT',
            subset_selectors: [{ keys: ['pod'], fallback_policy: 'NO_FALLBACK' }],
            locality_weight_aware: true,
          },
        }
      : {}),
  };
}

function toEdsCluster(name: string, sets: readonly EndpointSet[], key: ServicePortKey, nobody = false): Cluster {
  return {
    '@type': 'type.googleapis.com/envoy.config.cluster.v3.Cluster',
    name,
    type: 'EDS',
    eds_cluster_config: { eds_config: ads },
    connect_timeout: connectTimeout,
    circuit_breakers: circuitBreakers,
    outlier_detection: ejection,
    ...toPeerTransport(identitiesOf(sets), hasPlaintext(sets), toSni(key), nobody),
  };
}

/** Each endpoint must prove its own account; one without sidecar is spoken to as it is (DECISIONS S11). */
function toPeerTransport(
  identities: readonly ServiceIdentity[],
  plaintext: boolean,
  sni: string,
  nobody: boolean,
): Pick<Cluster, 'transport_socket' | 'transport_socket_matches'> {
  const [only] = identities;
  if (only === undefined) return {};
  if (identities.length === 1 && !plaintext && !nobody) return { transport_socket: toClientTls(only, sni) };
  const matches = identities.map((identity) => ({
    name: identity,
    match: toPeerMatch(identity),
    transport_socket: toClientTls(identity, sni),
  }));
  return {
    transport_socket_matches: [
      ...matches,
      ...(nobody ? [{ name: 'nobody', match: nobodyMatch, transport_socket: rawBuffer }] : []),
      ...(plaintext ? [{ name: 'plaintext', match: {}, transport_socket: rawBuffer }] : []),
    ],
  };
}

/** The app behind one port of the workload; once more for requests whose trace begins here, where that is by chance. */
export function toAppClusters(
  port: number,
  appPort: number,
  http: { readonly sampling: number } | undefined,
): readonly Cluster[] {
  const options = { [httpOptions]: sameProtocol };
  const first = { [httpOptions]: { ...sameProtocol, http_filters: b3Injection } };
  return [
    toAppCluster(appCluster(port), appPort, http && options),
    ...(http && mayBeUndecided(http.sampling) ? [toAppCluster(firstHopCluster(port), appPort, first)] : []),
  ];
}

function toAppCluster(
  name: string,
  appPort: number,
  options: Cluster['typed_extension_protocol_options'] | undefined,
): Cluster {
  return {
    '@type': 'type.googleapis.com/envoy.config.cluster.v3.Cluster',
    name,
    type: 'STATIC',
    connect_timeout: '1s',
    circuit_breakers: circuitBreakers,
    ...(options ? { typed_extension_protocol_options: options } : {}),
    load_assignment: {
      cluster_name: name,
      endpoints: [
        {
          lb_endpoints: [
            {
              endpoint: {
                address: {
                  socket_address: { address: '127.0.0.1', port_value: appPort },
                },
              },
            },
          ],
        },
      ],
    },
  };
}

/** What is not of the mesh, to where the app dialled. */
export const passthrough: Cluster = {
  '@type': 'type.googleapis.com/envoy.config.cluster.v3.Cluster',
  name: passthroughCluster,
  type: 'ORIGINAL_DST',
  lb_policy: 'CLUSTER_PROVIDED',
  connect_timeout: connectTimeout,
  circuit_breakers: circuitBreakers,
};

/**
 * To the pod's own address, which is what was dialled: so an app is reached as it would be without a sidecar, and not on
 * loopback, where it may listen for itself alone.
 */
export const ownAddress: Cluster = {
  '@type': 'type.googleapis.com/envoy.config.cluster.v3.Cluster',
  name: ownAddressCluster,
  type: 'ORIGINAL_DST',
  lb_policy: 'CLUSTER_PROVIDED',
  connect_timeout: '1s',
  circuit_breakers: circuitBreakers,
  upstream_bind_config: { source_address: { address: ownAddressSource, port_value: 0 } },
};

export const nowhere: Cluster = {
  '@type': 'type.googleapis.com/envoy.config.cluster.v3.Cluster',
  name: nowhereCluster,
  type: 'STATIC',
  connect_timeout: connectTimeout,
};

/** `bookstore-v1` of `bookstore/bookstore-v1:14001~x`. */
function toServiceName(key: EndpointSetKey): string {
  return /^[^/]+\/([^:]+):/.exec(key)?.[1] ?? key;
}

/** `bookstore-v1.bookstore` of `bookstore/bookstore-v1:14001~x`. */
function toSni(key: EndpointSetKey): string {
  const [, namespace, name] = /^([^/]+)\/([^:]+):/.exec(key) ?? [];
  return namespace === undefined ? key : `${name}.${namespace}`;
}
