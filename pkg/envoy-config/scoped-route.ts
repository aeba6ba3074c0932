import type { Endpoint, EndpointSet } from '../policy/endpoints.ts';
import type { OutboundService } from '../policy/outbound.ts';
import type { DirectoryEntry } from '../policy/proxy-policy.ts';
import { toSubset } from './endpoint.ts';
import type { ScopedRouteConfiguration, VirtualHost } from './envoy-route-types.ts';
import { dialledHeader, retries, toDeniedRoute, toPodRoutes, toServiceRoutes } from './route.ts';

/**
 * Where requests to one address of the mesh go, named by what was dialled: `10.96.0.1:80`. All share one HTTP connection
 * manager, which picks by that address (docs/adr/0006), so that what a Service costs an Envoy is this and its cluster.
 */
export function toServiceScopes(service: OutboundService): readonly ScopedRouteConfiguration[] {
  const routes = toServiceRoutes(service, 'byAddress');
  return service.addresses.map((address) =>
    toScope(toDialled(address, service.port), { name: service.key, domains: ['*'], routes, retry_policy: retries }),
  );
}

/** The pods of a headless Service are dialled by their own addresses, and each address leads to its pod. */
export function toPodScopes(service: OutboundService, { endpoints }: EndpointSet): readonly ScopedRouteConfiguration[] {
  return endpoints.flatMap((endpoint) => {
    const routes = toPodRoutes(service, toSubset(endpoint));
    return podAddresses(service, endpoint).map(({ ip, port }) =>
      toScope(toDialled(ip, port), { name: service.key, domains: ['*'], routes, retry_policy: retries }),
    );
  });
}

/**
 * Where a pod of a headless Service is dialled: at the port of the Service, as names of the mesh have it, and at the
 * pod's own, which is what works in a cluster without a mesh.
 */
export function podAddresses(
  service: { readonly port: number },
  { ip, port }: Pick<Endpoint, 'ip' | 'port'>,
): readonly { readonly ip: string; readonly port: number }[] {
  if (ip === undefined) return [];
  return [...new Set([service.port, port])].map((each) => ({ ip, port: each }));
}

/** 403 for whoever may not reach a Service port: the same for all, hidden by the scope of whoever may. */
export function toDeniedScopes(entry: DirectoryEntry): readonly ScopedRouteConfiguration[] {
  const denied = { name: entry.key, domains: ['*'], routes: [toDeniedRoute(entry.key)] };
  return addressesOf(entry).map((dialled) => toScope(dialled, denied));
}

function toScope(dialled: string, host: VirtualHost): ScopedRouteConfiguration {
  return {
    '@type': 'type.googleapis.com/envoy.config.route.v3.ScopedRouteConfiguration',
    name: dialled,
    key: { fragments: [{ string_key: dialled }] },
    route_configuration: { name: dialled, virtual_hosts: [host], request_headers_to_remove: [dialledHeader] },
  };
}

/** As Envoy writes an address, `%DOWNSTREAM_LOCAL_ADDRESS%` or `destination.address`. */
export function toDialled(address: string, port: number): string {
  return address.includes(':') ? `[${address}]:${port}` : `${address}:${port}`;
}

/** Every address at which a Service port is dialled. */
export function addressesOf(entry: DirectoryEntry): readonly string[] {
  const { addresses, pods = [], port } = entry;
  const ofPods = pods.flatMap(({ ip, port: own = port }) => podAddresses(entry, { ip, port: own }));
  return [
    ...addresses.map((address) => toDialled(address, port)),
    ...ofPods.map((each) => toDialled(each.ip, each.port)),
  ];
}
