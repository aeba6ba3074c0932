import type { Cluster, ClusterLoadAssignment } from '../../pkg/envoy-config/envoy-cluster-types.ts';
import type { HttpConnectionManager, HttpRbacFields } from '../../pkg/envoy-config/envoy-http-types.ts';
import type { FilterChain, Listener } from '../../pkg/envoy-config/envoy-listener-types.ts';
import type { Permission, Principal, RbacRules } from '../../pkg/envoy-config/envoy-rbac-types.ts';
import type { Route, RouteConfiguration } from '../../pkg/envoy-config/envoy-route-types.ts';
import type { Address, CommonTlsContext, TransportSocket } from '../../pkg/envoy-config/envoy-types.ts';
import type { XdsResources } from '../../pkg/envoy-config/to-xds-resources.ts';

/**
 * What is particular to one configuration of Envoy, in lines that people read, for golden files. What is the same in
 * all of them stands in full, once, in pkg/envoy-config/bookstore.golden.yaml.
 */
export function describeEnvoy({
  listeners,
  routes,
  scopes,
  refusals,
  extensions,
  clusters,
  endpoints,
  peers,
}: XdsResources): object {
  const groups = {
    listeners: Object.fromEntries([...listeners.values()].map((listener) => [titleOf(listener), chainsOf(listener)])),
    routes: Object.fromEntries([...routes].map(([name, config]) => [name, describeRoutes(config)])),
    scopes: Object.fromEntries(
      [...refusals, ...scopes].map(([dialled, { route_configuration: config }]) => [dialled, describeRoutes(config)]),
    ),
    addresses: describeAddresses(extensions),
    clusters: Object.fromEntries([...clusters].map(([name, cluster]) => [name, describeCluster(cluster)])),
    endpoints: Object.fromEntries([...endpoints].map(([name, assignment]) => [name, describeEndpoints(assignment)])),
    peers: Object.fromEntries(peers),
  };
  return Object.fromEntries(Object.entries(groups).filter(([, group]) => Object.keys(group).length > 0));
}

function titleOf({ name, address, bind_to_port: bound }: Listener): string {
  return `${name} at ${toText(address)}${bound === false ? ' (virtual)' : ''}`;
}

function toText(address: Address | undefined): string {
  const { pipe, socket_address: socket } = address ?? {};
  return pipe?.path ?? (socket ? `${socket.address}:${socket.port_value}` : 'inside');
}

function chainsOf({ filter_chains: chains = [], default_filter_chain: rest }: Listener): string[] {
  return [...chains.map(describeChain), ...(rest ? [`else ${targetOf(rest)}`] : [])];
}

function describeChain(chain: FilterChain): string {
  const { destination_port: port, transport_protocol: protocol, source_prefix_ranges } = chain.filter_chain_match ?? {};
  const sources = (source_prefix_ranges ?? []).map((range) => `from ${range.address_prefix}/${range.prefix_len}`);
  const match = [port, protocol, ...sources];
  const when = match.filter((part) => part !== undefined).join(' ');
  const tls = chain.transport_socket ? `, tls ${describeTls(chain.transport_socket)}` : '';
  return `${when === '' ? '' : `${when}: `}${targetOf(chain)}${tls}`;
}

function targetOf({ filters }: FilterChain): string {
  const texts = filters.map(({ typed_config: config }) => {
    if ('cluster' in config) return `tcp ${config.cluster}${podOf(config.metadata_match)}`;
    return 'http_filters' in config ? `http ${routesOf(config)}` : config['@type'];
  });
  return texts.join(', ');
}

function routesOf({ rds }: HttpConnectionManager): string {
  return rds?.route_config_name ?? 'by address';
}

/** What is spoken at which addresses. */
function describeAddresses(extensions: XdsResources['extensions']): object {
  const spoken: Record<string, string[]> = {};
  for (const { typed_config } of extensions.values()) {
    const text = typed_config.on_accept[0]?.format_string.text_format_source?.inline_string ?? '';
    for (const [, list = '', chain = ''] of text.matchAll(/ in \[([^\]]*(?:\][^\]]*)*?)\] \? '(\w+)'/g)) {
      (spoken[chain] ??= []).push(...list.split(',').map((address) => address.slice(1, -1)));
    }
  }
  return Object.fromEntries(Object.entries(spoken).map(([chain, addresses]) => [chain, addresses.sort().join(' ')]));
}

function podOf(metadata: { filter_metadata: Readonly<Record<string, unknown>> } | undefined): string {
  const lb = metadata?.filter_metadata['envoy.lb'] as { pod?: string } | undefined;
  return lb?.pod === undefined ? '' : ` pod ${lb.pod}`;
}

function describeTls({ typed_config: config }: TransportSocket): string {
  if (!('common_tls_context' in config)) return 'none';
  const context: CommonTlsContext = config.common_tls_context;
  const { combined_validation_context: combined, validation_context_sds_secret_config: secret } = context;
  const names = combined?.default_validation_context.match_typed_subject_alt_names ?? [];
  return names.length > 0 ? names.map(({ matcher }) => matcher.exact).join(' ') : (secret?.name ?? '');
}

function describeRoutes({
  virtual_hosts: hosts,
  typed_per_filter_config: filters,
}: Omit<RouteConfiguration, '@type'>): object {
  const routes = hosts.flatMap(({ routes: list = [], domains }) =>
    list.map((route) => `${domains.join() === '*' ? '' : `${domains.join(' ')} `}${describeRoute(route)}`),
  );
  if (!filters) return routes;
  const access = Object.entries(filters).map(([name, { rbac }]) => [
    `${name.replace('tulle.rbac.', '')}${rbac.rules ? '' : ' (shadow)'}`,
    describeAccess(rbac),
  ]);
  return { routes, ...(Object.fromEntries(access) as object) };
}

function describeRoute({ match, route, metadata, direct_response: direct }: Route): string {
  const headers = (match.headers ?? []).map(
    ({ name, string_match: value }) => `${name}: ${value?.safe_regex?.regex ?? value?.exact}`,
  );
  const path = match.safe_regex?.regex ?? (match.connect_matcher ? 'CONNECT' : match.prefix);
  const when = [path, ...headers].join(', ');
  const { service } = (metadata?.filter_metadata['tulle'] ?? {}) as { service?: string };
  if (direct) return `${when} -> ${direct.status}${direct.status === 403 ? ` ${service}` : ''}`;
  const weighted = route?.weighted_clusters?.clusters.map(({ name, weight }) => `${weight} ${name}`).join(' | ');
  return `${when} -> ${weighted ?? route?.cluster}${podOf(route?.metadata_match)}`;
}

function describeAccess({ rules, shadow_rules: shadow }: HttpRbacFields): unknown {
  const all = rules ?? shadow;
  return all ? describePolicies(all) : 'off';
}

function describePolicies({ policies = {} }: RbacRules): object {
  const entries = Object.entries(policies).map(([name, { permissions, principals }]) => [
    name,
    { permissions: permissions.map(describePermission), principals: principals.map(describePrincipal) },
  ]);
  return Object.fromEntries(entries) as object;
}

function describePermission({ any, and_rules: and, or_rules: or, header, url_path: url }: Permission): string {
  if (any) return 'any';
  if (and) return and.rules.map(describePermission).join(' & ');
  if (or) return `(${or.rules.map(describePermission).join(' | ')})`;
  if (url) return `path ${url.path.safe_regex?.regex}`;
  return `${header?.name} ${header?.string_match?.exact ?? header?.string_match?.safe_regex?.regex}`;
}

function describePrincipal({ authenticated }: Principal): string {
  return authenticated?.principal_name?.exact ?? 'any';
}

function describeCluster({
  type,
  transport_socket: socket,
  transport_socket_matches: matches,
  load_assignment,
}: Cluster): string {
  const address = load_assignment?.endpoints[0]?.lb_endpoints[0]?.endpoint.address;
  const peers = matches?.map(({ transport_socket: each }) => describeTls(each)).join(' | ');
  return [type, address && toText(address), socket ? `tls ${describeTls(socket)}` : peers && `tls ${peers}`]
    .filter((part) => part !== undefined)
    .join(' ');
}

function describeEndpoints({ endpoints }: ClusterLoadAssignment): string[] {
  return endpoints.flatMap(({ load_balancing_weight: weight, lb_endpoints: list }) =>
    list.map(({ endpoint, metadata }) => {
      const { pod } = (metadata?.filter_metadata['tulle'] ?? {}) as { pod?: string };
      const meshed = metadata?.filter_metadata['envoy.transport_socket_match'] ? '' : ' plaintext';
      return `${toText(endpoint.address)} ${pod}${meshed}${weight === undefined ? '' : ` weight ${weight}`}`;
    }),
  );
}
