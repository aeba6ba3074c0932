import { toServiceAccount } from '../policy/identity.ts';
import type { OutboundService, ServicePortKey } from '../policy/outbound.ts';
import type { DirectoryEntry, ProxyPolicy } from '../policy/proxy-policy.ts';
import type { Route, RouteConfiguration, VirtualHost } from './envoy-route-types.ts';
import { egressName, internalCluster, proxyRoutes, tcpCluster, toSpanName } from './names.ts';
import { isHttp } from './protocol.ts';
import { noTimeout, retries, toDeniedRoute, toServiceRoutes } from './route.ts';
import { deniedTags } from './tracing.ts';

/**
 * What the explicit proxy does with a request: the authority selects the Service (DECISIONS E12). An authority without a
 * port means port 80, or the Service's only port: Go drops the port of a Host that was overridden (L2).
 */
export function toProxyRoutes({ identity, reach, directory, settings }: ProxyPolicy): RouteConfiguration {
  const namespace = toServiceAccount(identity)?.namespace ?? '';
  const owners = toOwners(directory, namespace);
  const domainsOf = new Map<string, { readonly place: Place; readonly domains: string[] }>();
  for (const [domain, place] of owners) {
    const id = `${place.entry.key}|${place.pod ?? ''}`;
    const known = domainsOf.get(id);
    if (known) known.domains.push(domain);
    else domainsOf.set(id, { place, domains: [domain] });
  }
  const hosts: VirtualHost[] = [];
  for (const [name, { place, domains }] of domainsOf) {
    const service = reach.outbound.get(place.entry.key);
    if (service) hosts.push({ name, domains, routes: toRoutes(service, place.pod), retry_policy: retries });
    else hosts.push({ name, domains, routes: toRefusal(place.entry.key) });
  }
  const local = ['localhost', 'localhost:*', '127.0.0.1', '127.0.0.1:*'].filter((domain) => !owners.has(domain));
  hosts.push({ name: 'local', domains: local, routes: leave });
  hosts.push({
    name: 'outside',
    domains: ['*'],
    routes: settings.egress === 'allow' ? leave : refuseEgress,
  });
  return {
    '@type': 'type.googleapis.com/envoy.config.route.v3.RouteConfiguration',
    name: proxyRoutes,
    virtual_hosts: hosts,
    request_headers_to_remove: ['proxy-authorization', 'proxy-connection'],
  };
}

function toLabels(host: string): number {
  return host.split('.').length;
}

interface Place {
  readonly entry: DirectoryEntry;
  /** `namespace/name`, when the host is one pod of a headless Service. */
  readonly pod?: string;
}

/** Who has which authority; Envoy refuses a table in which two have the same. The first keeps it. */
function toOwners(directory: ReadonlyMap<ServicePortKey, DirectoryEntry>, namespace: string): Map<string, Place> {
  const ports = new Map<string, number>();
  for (const { namespace: own, name } of directory.values()) {
    ports.set(`${own}/${name}`, (ports.get(`${own}/${name}`) ?? 0) + 1);
  }
  const owners = new Map<string, Place>();
  const add = (host: string, place: Place): void => {
    const { entry } = place;
    const authority = host.includes(':') ? `[${host}]` : host.toLowerCase();
    const withPort = `${authority}:${entry.port}`;
    if (!owners.has(withPort)) owners.set(withPort, place);
    const bare = entry.port === 80 || ports.get(`${entry.namespace}/${entry.name}`) === 1;
    if (bare && !owners.has(authority)) owners.set(authority, place);
  };
  for (const entry of directory.values()) {
    // `cart`, and `mysql-0.mysql` of a pod, are names of their own namespace.
    const here = (labels: number) => (host: string) => entry.namespace === namespace || toLabels(host) >= labels;
    for (const host of entry.hostnames.filter(here(2))) add(host, { entry });
    if (entry.namespace === namespace) add(entry.name, { entry });
    for (const address of entry.addresses) add(address, { entry });
    for (const { ip, hostnames } of entry.pods ?? []) {
      const [podName = ''] = (hostnames[0] ?? '').split('.');
      const place = podName === '' ? { entry } : { entry, pod: `${entry.namespace}/${podName}` };
      for (const host of [ip, ...hostnames.filter(here(3))]) add(host, place);
    }
  }
  return owners;
}

/** A tunnel to an HTTP Service ends at a listener inside of Envoy, where its requests meet the routes of the Service. */
function toRoutes(service: OutboundService, pod: string | undefined): readonly Route[] {
  const { key, protocol } = service;
  if (!isHttp(protocol)) return [toTunnel(tcpCluster(key), pod), speaksTcp];
  const routes = toServiceRoutes(service, 'byName').map((route) =>
    pod === undefined ? route : toPodRoute(route, pod),
  );
  return [toTunnel(internalCluster(key), undefined), ...routes];
}

function toPodRoute(route: Route, pod: string): Route {
  return route.route?.cluster === undefined
    ? route
    : { ...route, route: { ...route.route, metadata_match: toPodMatch(pod) } };
}

function toPodMatch(pod: string): {
  filter_metadata: { 'envoy.lb': { pod: string } };
} {
  return { filter_metadata: { 'envoy.lb': { pod } } };
}

function toTunnel(cluster: string, pod: string | undefined): Route {
  return {
    match: { connect_matcher: {} },
    route: {
      cluster,
      timeout: noTimeout,
      upgrade_configs: [{ upgrade_type: 'CONNECT', connect_config: {} }],
      ...(pod === undefined ? {} : { metadata_match: toPodMatch(pod) }),
    },
  };
}

const speaksTcp: Route = {
  match: { prefix: '/' },
  direct_response: {
    status: 400,
    body: {
      inline_string: 'tulle: BadRequest: it speaks TCP: use CONNECT, or its port on the loopback\n',
    },
  },
};

function toRefusal(key: ServicePortKey): readonly Route[] {
  const span = { operation: `%REQ(:METHOD)% ${toSpanName(key)}`, custom_tags: deniedTags };
  const refused: Route = { ...toDeniedRoute(key), tracing: span };
  return [{ ...refused, match: { connect_matcher: {} } }, refused];
}

const leave: readonly Route[] = [
  toTunnel(egressName, undefined),
  {
    match: { prefix: '/' },
    route: { cluster: egressName, timeout: noTimeout },
  },
];

const egressDenied: Omit<Route, 'match'> = {
  direct_response: {
    status: 403,
    body: {
      inline_string: 'RBAC: access denied\ntulle: EgressDenied: not of the mesh, and egress is off\n',
    },
  },
};

const refuseEgress: readonly Route[] = [
  { match: { connect_matcher: {} }, ...egressDenied },
  { match: { prefix: '/' }, ...egressDenied },
];
