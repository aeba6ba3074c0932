import type { Endpoint, EndpointAddress, EndpointSet } from '../policy/endpoints.ts';
import type { ServiceIdentity } from '../policy/identity.ts';
import type { EndpointSetKey, OutboundService, WeightedBackend } from '../policy/outbound.ts';
import type { ClusterLoadAssignment, LbEndpoint } from './envoy-cluster-types.ts';
import type { Address, JsonObject } from './envoy-types.ts';
import { endpointsCluster, nobodyListener, tcpCluster, toAccountName } from './names.ts';

/** The endpoints of one set that take traffic. */
export function toLoadAssignment(set: EndpointSet): ClusterLoadAssignment {
  const lbEndpoints = toLbEndpoints(set);
  return {
    '@type': 'type.googleapis.com/envoy.config.endpoint.v3.ClusterLoadAssignment',
    cluster_name: endpointsCluster(set.key),
    endpoints: lbEndpoints.length > 0 ? [{ lb_endpoints: lbEndpoints }] : [],
  };
}

/**
 * The backends of a TCP Service port as weighted localities: new weights reach kept listeners, and no connection is
 * closed for them (DECISIONS E5).
 */
export function toTcpLoadAssignment(
  service: OutboundService,
  sets: ReadonlyMap<EndpointSetKey, EndpointSet>,
): ClusterLoadAssignment {
  const backends = takingBackends(service);
  const localities = backends.map((backend) => {
    const endpoints = toLbEndpoints(sets.get(backend.endpoints), backend.service);
    return {
      locality: { zone: backend.endpoints },
      load_balancing_weight: backend.weight,
      // A share that finds nobody is not for the others (DECISIONS S9).
      lb_endpoints: endpoints.length === 0 && isSplit(service) ? [toNobody(backend.endpoints)] : endpoints,
    };
  });
  return {
    '@type': 'type.googleapis.com/envoy.config.endpoint.v3.ClusterLoadAssignment',
    cluster_name: tcpCluster(service.key),
    endpoints: localities.filter(({ lb_endpoints }) => lb_endpoints.length > 0),
  };
}

/** TCP knows one route, the last (pkg/policy/outbound.ts). */
export function tcpBackends(service: OutboundService): readonly WeightedBackend[] {
  return service.routes.at(-1)?.backends ?? [];
}

/** Whether a share may find nobody while another finds somebody. */
export function isSplit(service: OutboundService): boolean {
  return tcpBackends(service).length > 1;
}

/** A connection that is accepted inside of this Envoy, and closed: nothing is tried instead, and nobody left out for it. */
function toNobody(key: EndpointSetKey): LbEndpoint {
  return {
    endpoint: {
      address: { envoy_internal_address: { server_listener_name: nobodyListener, endpoint_id: key } },
    },
    metadata: { filter_metadata: { 'envoy.transport_socket_match': nobodyMatch } },
  };
}

export const nobodyMatch: JsonObject = { peer: 'nobody' };

function takingBackends(service: OutboundService): WeightedBackend[] {
  return takeShares(tcpBackends(service));
}

/** Who takes a share, with weights that Envoy accepts: their sum must fit into 32 bits. */
export function takeShares(backends: readonly WeightedBackend[]): WeightedBackend[] {
  const taking = backends.filter(({ weight, excluded }) => weight > 0 && excluded === undefined);
  const sum = taking.reduce((total, { weight }) => total + weight, 0);
  if (sum <= maxWeightSum) return taking;
  return taking.map((backend) => ({
    ...backend,
    weight: Math.max(1, Math.floor((backend.weight * (maxWeightSum - taking.length)) / sum)),
  }));
}

const maxWeightSum = 2 ** 32 - 1;

/** All whom this set may lead to, ready or not, so that a pod's turn changes no cluster. */
export function identitiesOf(sets: Iterable<EndpointSet>): readonly ServiceIdentity[] {
  const identities = new Set<ServiceIdentity>();
  for (const { endpoints } of sets) {
    for (const { identity, meshed } of endpoints) if (meshed && identity !== '') identities.add(identity);
  }
  return [...identities].sort();
}

export function hasPlaintext(sets: Iterable<EndpointSet>): boolean {
  for (const { endpoints } of sets) if (endpoints.some(({ meshed }) => !meshed)) return true;
  return false;
}

/** Endpoint metadata that a cluster's `transport_socket_matches` go by. */
export function toPeerMatch(identity: ServiceIdentity): JsonObject {
  return { peer: identity };
}

function toLbEndpoints(set: EndpointSet | undefined, backend?: string): LbEndpoint[] {
  return (set?.endpoints ?? []).filter(({ ready }) => ready).map((endpoint) => toLbEndpoint(endpoint, backend));
}

function toLbEndpoint({ address, identity, meshed, pod, ip }: Endpoint, backend?: string): LbEndpoint {
  const destination = toAccountName(identity);
  return {
    endpoint: { address: toAddress(address) },
    metadata: {
      filter_metadata: {
        ...(meshed && identity !== '' ? { 'envoy.transport_socket_match': toPeerMatch(identity) } : {}),
        ...(ip === undefined ? {} : { 'envoy.lb': { pod: toSubset({ pod, ip }) } }),
        tulle: {
          pod,
          ...(destination === '' ? {} : { destination }),
          ...(backend === undefined ? {} : { backend }),
        },
      },
    },
  };
}

/** By which one endpoint of a headless Service is picked. Addresses that are no pod's are several of one name: ''. */
export function toSubset({ pod, ip = '' }: Pick<Endpoint, 'pod' | 'ip'>): string {
  return pod === '' ? ip : pod;
}

export function toAddress(address: EndpointAddress): Address {
  return address.kind === 'pipe'
    ? { pipe: { path: address.path } }
    : { socket_address: { address: address.ip, port_value: address.port } };
}
