import { at, listAt, numberAt, textAt } from './json-at.ts';

const shown = 5;
const outbound = 'outbound/';
const tcp = 'tcp/';

/**
 * What an Envoy may call, from the parts of its `/config_dump`: HTTP by its scoped routes, which are named by the address
 * that is dialled (pkg/envoy-config/scoped-route.ts), or by route configurations of Services where it is an explicit
 * proxy; TCP by listeners of the addresses, whose shares are localities of one cluster.
 */
export function describeReach(configs: readonly unknown[]): readonly string[] {
  const services = [...httpServices(configs), ...tcpServices(configs)].sort((a, b) => (a.key < b.key ? -1 : 1));
  const refused = services.filter(({ isRefused }) => isRefused).map(({ key }) => key);
  const reached = services.filter(({ isRefused }) => !isRefused);
  return [
    ...(reached.length === 0 ? ['may call nothing in the mesh'] : reached.flatMap(describeService)),
    ...(refused.length === 0 ? [] : [`may not call ${someOf(refused)} (http)`]),
  ];
}

interface ReachedService {
  readonly key: string;
  readonly protocol: 'http' | 'tcp';
  readonly addresses: string[];
  readonly isRefused: boolean;
  readonly split: string;
  /** Of what no match takes. */
  readonly shares: string;
  readonly matches: readonly string[];
}

function describeService({ key, protocol, addresses, split, shares, matches }: ReachedService): readonly string[] {
  const where = addresses.length === 0 ? '' : ` at ${someOf(addresses)}`;
  const by = split === '' ? '' : ` by TrafficSplit ${split}`;
  const goes = shares === '' && split === '' ? '' : `, shared${by}: ${shares || `all to ${key}`}`;
  return [`may call ${key} (${protocol})${where}${goes}`, ...matches.map((match) => `  ${match}`)];
}

function httpServices(configs: readonly unknown[]): readonly ReachedService[] {
  const scopes = configs
    .flatMap((config) => listAt(config, 'dynamic_scoped_route_configs'))
    .flatMap((scoped) => listAt(scoped, 'scoped_route_configs'))
    .map((scope) => ({ address: textAt(scope, 'name'), host: hostOf(at(scope, 'route_configuration')) }));
  const named = configs
    .flatMap((config) => listAt(config, 'dynamic_route_configs'))
    .map((entry) => at(entry, 'route_config'))
    .filter((config) => textAt(config, 'name').startsWith(outbound))
    .map((config) => ({ address: '', host: hostOf(config) }));
  const services = new Map<string, ReachedService>();
  for (const { address, host } of [...scopes, ...named]) {
    const key = textAt(host, 'name');
    const known = services.get(key) ?? toHttpService(key, host);
    services.set(key, known);
    if (address !== '') known.addresses.push(address);
  }
  return [...services.values()];
}

function hostOf(config: unknown): unknown {
  return listAt(config, 'virtual_hosts')[0];
}

function toHttpService(key: string, host: unknown): ReachedService {
  const routes = listAt(host, 'routes');
  const last = routes.at(-1);
  const own = (route: unknown, field: string): string => textAt(route, 'metadata', 'filter_metadata', 'tulle', field);
  return {
    key,
    protocol: 'http',
    addresses: [],
    isRefused: own(last, 'verdict') === 'denied',
    // By name, it is a tag of the span and stands in no metadata.
    split: routes.map((route) => own(route, 'split')).find((split) => split !== '') ?? '',
    shares: sharesOf(last, key),
    matches: routes.slice(0, -1).map((route) => `${describeMatch(at(route, 'match'))}: ${sharesOf(route, '')}`),
  };
}

/** Empty: all goes to the Service itself. */
function sharesOf(route: unknown, key: string): string {
  if (numberAt(route, 'direct_response', 'status') === 503) return 'no backend with a weight is left';
  const shares = listAt(route, 'route', 'weighted_clusters', 'clusters').map(
    (cluster) => `${backendOf(textAt(cluster, 'name'))} ${numberAt(cluster, 'weight')}`,
  );
  if (shares.length > 0) return shares.join(', ');
  const only = backendOf(textAt(route, 'route', 'cluster'));
  return only === key ? '' : only;
}

/** Without the mark of those accounts that it is limited to. */
function backendOf(cluster: string): string {
  return cluster.replace(/~[^~]*$/, '');
}

function describeMatch(match: unknown): string {
  const headers = listAt(match, 'headers').map((header) => ({
    name: textAt(header, 'name'),
    value:
      textAt(header, 'string_match', 'exact') ||
      textAt(header, 'string_match', 'safe_regex', 'regex') ||
      textAt(header, 'string_match', 'prefix'),
  }));
  const methods = headers.filter(({ name }) => name === ':method').map(({ value }) => value);
  const others = headers.filter(({ name }) => name !== ':method').map(({ name, value }) => `${name}: ${value}`);
  const path = textAt(match, 'safe_regex', 'regex') || '*';
  return [...methods, path, ...others].join(' ');
}

function tcpServices(configs: readonly unknown[]): readonly ReachedService[] {
  const listeners = configs
    .flatMap((config) => listAt(config, 'dynamic_listeners'))
    .map((entry) => at(entry, 'active_state', 'listener'));
  const assignments = configs
    .flatMap((config) => listAt(config, 'dynamic_endpoint_configs'))
    .map((entry) => at(entry, 'endpoint_config'));
  return configs
    .flatMap((config) => listAt(config, 'dynamic_active_clusters'))
    .map((entry) => textAt(entry, 'cluster', 'name'))
    .filter((name) => name.startsWith(tcp))
    .map((name) => {
      const key = name.slice(tcp.length);
      const addresses = listeners
        .filter((listener) => textAt(listener, 'name').startsWith(`${outbound}${key}/`))
        .map((listener) => at(listener, 'address', 'socket_address'))
        .filter((address) => address !== undefined)
        .map((address) => toAddress(textAt(address, 'address'), numberAt(address, 'port_value')));
      const backends = listAt(
        assignments.find((assignment) => textAt(assignment, 'cluster_name') === name),
        'endpoints',
      ).map((each) => ({
        backend: backendOf(textAt(each, 'locality', 'zone')),
        weight: numberAt(each, 'load_balancing_weight'),
      }));
      const isShared = backends.length > 1 || backends.some(({ backend }) => backend !== key);
      const shares = isShared ? backends.map(({ backend, weight }) => `${backend} ${weight}`).join(', ') : '';
      return { key, protocol: 'tcp', addresses, isRefused: false, split: '', shares, matches: [] };
    });
}

function toAddress(ip: string, port: number): string {
  return ip.includes(':') ? `[${ip}]:${port}` : `${ip}:${port}`;
}

function someOf(texts: readonly string[]): string {
  const more = texts.length - shown;
  return `${texts.slice(0, shown).join(', ')}${more > 0 ? ` and ${more} more` : ''}`;
}
