import { b3Headers, toDecisionRoutes } from './b3.ts';
import { isEnforced, type InboundPolicy, type InboundPort } from '../policy/inbound.ts';
import type { HttpMatch } from '../policy/match.ts';
import type { OutboundRoute, OutboundService, WeightedBackend } from '../policy/outbound.ts';
import { takeShares } from './endpoint.ts';
import type { RetryPolicy, Route, RouteAction, RouteConfiguration, RouteMatch } from './envoy-route-types.ts';
import type { CustomTag } from './envoy-trace-types.ts';
import {
  appCluster,
  endpointsCluster,
  firstHopCluster,
  inboundRoutes,
  outboundRoutes,
  toAccountName,
  toServiceOf,
  toSpanName,
} from './names.ts';
import { namedSources, toHeaderMatcher, toRbacConfig } from './rbac.ts';
import { reasonHeader, toNamedSources } from './refusal-reason.ts';
import { tellTrace } from './trace-telling.ts';
import { grpcTags, inboundVerdictTags, outboundPeerTags, toLiteral } from './tracing.ts';

/** As long as the two apps want: Envoy's default would cut every answer at 15 s. */
export const noTimeout = '0s';

/** Only what never reached the peer: everything else may have been done already. */
export const retries: RetryPolicy = {
  retry_on: 'connect-failure,refused-stream,reset-before-request',
  num_retries: 2,
  retry_host_predicate: [
    {
      name: 'envoy.retry_host_predicates.previous_hosts',
      typed_config: {
        '@type': 'type.googleapis.com/envoy.extensions.retry.host.previous_hosts.v3.PreviousHostsPredicate',
      },
    },
  ],
  host_selection_retry_max_attempts: '3',
  retry_back_off: { base_interval: '0.025s', max_interval: '0.25s' },
};

/** The routes to a Service port: one for each alternative of each route, in order; the last takes the rest. */
export function toOutboundRoutes(service: OutboundService): RouteConfiguration {
  return {
    '@type': 'type.googleapis.com/envoy.config.route.v3.RouteConfiguration',
    name: outboundRoutes(service.key),
    virtual_hosts: [
      { name: service.key, domains: ['*'], routes: toServiceRoutes(service, 'byName'), retry_policy: retries },
    ],
  };
}

/** `byAddress`: the tags of the span come of the route's metadata, once for all routes (tracing.ts). */
export type RouteUse = 'byAddress' | 'byName';

export function toServiceRoutes(service: OutboundService, use: RouteUse): readonly Route[] {
  return service.routes.flatMap((route) => {
    const matches = route.match === undefined ? [{ prefix: '/' }] : route.match.map(toRouteMatch);
    const action = toBackends(route, service, use);
    return matches.map((match) => ({ match, ...action }));
  });
}

/** The routes to one pod of a headless Service; a split takes them over. */
export function toPodRoutes(service: OutboundService, pod: string): readonly Route[] {
  return toServiceRoutes(service, 'byAddress').map((route) =>
    route.route?.cluster === undefined
      ? route
      : {
          ...route,
          route: {
            ...route.route,
            metadata_match: { filter_metadata: { 'envoy.lb': { pod } } },
          },
        },
  );
}

function toBackends(route: OutboundRoute, service: OutboundService, use: RouteUse): Omit<Route, 'match'> {
  const { key } = service;
  const split = route.origin?.kind === 'TrafficSplit' ? `${route.origin.namespace}/${route.origin.name}` : undefined;
  const rpc = service.protocol === 'grpc' ? grpcTags : [];
  const common =
    use === 'byAddress'
      ? {
          metadata: {
            filter_metadata: {
              tulle: { service: key, span: toSpanName(key), ...(split === undefined ? {} : { split }) },
            },
          },
          ...(rpc.length > 0 ? { tracing: { operation: toOperation(key), custom_tags: rpc } } : {}),
        }
      : {
          metadata: { filter_metadata: { tulle: { service: key } } },
          ...toSpan(key, [
            toLiteral('tulle.service', key),
            ...(split === undefined ? [] : [toLiteral('tulle.split', split)]),
            ...rpc,
            ...outboundPeerTags,
          ]),
        };
  const backends = takeShares(route.backends);
  if (backends.length === 0) {
    return {
      ...common,
      // Envoy refuses weights that add up to zero, and the whole configuration with them.
      direct_response: {
        status: 503,
        body: {
          inline_string: 'tulle: Unavailable: no backend with a weight is left\n',
        },
      },
    };
  }
  return {
    ...common,
    route: {
      ...toClusterChoice(backends),
      timeout: noTimeout,
    },
  };
}

function toClusterChoice(backends: readonly WeightedBackend[]): Pick<RouteAction, 'cluster' | 'weighted_clusters'> {
  const weights = new Map<string, number>();
  for (const { endpoints, weight } of backends) weights.set(endpoints, (weights.get(endpoints) ?? 0) + weight);
  const [only] = weights.keys();
  if (weights.size === 1 && only !== undefined) return { cluster: endpointsCluster(only) };
  const clusters = [...weights].map(([key, weight]) => ({
    name: endpointsCluster(key),
    weight,
  }));
  return { weighted_clusters: { clusters } };
}

function toRouteMatch(match: HttpMatch): RouteMatch {
  const headers = (match.headers ?? []).map(toHeaderMatcher);
  if (match.methods !== undefined) {
    headers.push({
      name: ':method',
      string_match: {
        safe_regex: { regex: match.methods.map(quote).join('|') },
      },
    });
  }
  return {
    ...(match.path === undefined ? { prefix: '/' } : { safe_regex: { regex: match.path } }),
    ...(headers.length > 0 ? { headers } : {}),
  };
}

/** A method as a pattern that matches it alone. */
function quote(method: string): string {
  return method.replace(/[^A-Za-z0-9_]/g, '\\$&');
}

function toSpan(key: string, tags: readonly CustomTag[]): Pick<Route, 'tracing' | 'decorator'> {
  return {
    // The caller would else rename the span of the called (`x-envoy-decorator-operation`).
    decorator: { operation: toSpanName(key), propagate: false },
    tracing: {
      operation: toOperation(key),
      custom_tags: tags,
    },
  };
}

function toOperation(key: string): string {
  return `%REQ(:METHOD)% ${toSpanName(key)}`;
}

/** The routes into one port of a workload: everything goes to the app, for whom the rules allow. */
export function toInboundRoutes(
  policy: InboundPolicy,
  { port, protocol, services }: InboundPort,
  sampling: number,
): RouteConfiguration {
  const service = toServiceOf(port, services);
  const common: Omit<Route, 'match'> = {
    metadata: { filter_metadata: { tulle: { service } } },
    ...toSpan(service, [
      toLiteral('tulle.service', service),
      toLiteral('tulle.destination', toAccountName(policy.identity)),
      toLiteral('tulle.mode', policy.mode),
      ...inboundVerdictTags(isEnforced(policy)),
      ...(protocol === 'grpc' ? grpcTags : []),
    ]),
  };
  return {
    '@type': 'type.googleapis.com/envoy.config.route.v3.RouteConfiguration',
    name: inboundRoutes(port),
    virtual_hosts: [
      {
        name: 'app',
        domains: ['*'],
        metadata: toNamedSources(namedSources(policy)),
        routes: toDecisionRoutes(sampling).map(({ headers, undecided, ...headersToAdd }) => ({
          match: { prefix: '/', ...(headers ? { headers } : {}) },
          ...common,
          route: { cluster: undecided ? firstHopCluster(port) : appCluster(port), timeout: noTimeout },
          ...headersToAdd,
        })),
      },
    ],
    ...b3Headers,
    // Set by sidecars only: an app can't speak for its own (DECISIONS E12).
    response_headers_to_remove: [reasonHeader],
    typed_per_filter_config: toRbacConfig(policy, port),
  };
}

/** Where the outbound listener writes the address that was dialled: routes can't ask the connection. */
export const dialledHeader = 'x-tulle-dialled';

/** A Service port that the client may not reach. The span's tags are those of all its routes (tracing.ts). */
export function toDeniedRoute(key: string): Route {
  return {
    match: { prefix: '/' },
    metadata: {
      filter_metadata: {
        tulle: { service: key, span: toSpanName(key), verdict: 'denied', reason: 'SourceNotAllowed' },
      },
    },
    direct_response: { status: 403 },
    typed_per_filter_config: tellTrace,
  };
}
