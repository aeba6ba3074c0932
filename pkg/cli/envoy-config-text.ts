import { X509Certificate } from 'node:crypto';
import { identitySecret } from '../envoy-config/names.ts';
import { rbacFilters } from '../envoy-config/rbac.ts';
import { isJsonObject, type JsonObject } from '../smi/reader.ts';

/**
 * What an Envoy has, in the words of policy, from its own `/config_dump` (admin v3 ConfigDump): who it is, who may call it,
 * what it may call. What is not understood is left out: the whole is what `-o json` prints.
 */
export function describeEnvoy(dump: unknown): readonly string[] {
  const configs = listAt(dump, 'configs').filter(isJsonObject);
  const routes = configs.flatMap((config) =>
    listAt(config, 'dynamic_route_configs').map((entry) => at(entry, 'route_config')),
  );
  const clusters = configs.flatMap((config) =>
    listAt(config, 'dynamic_active_clusters').map((entry) => textAt(entry, 'cluster', 'name')),
  );
  const byName = new Map(
    routes.filter(isJsonObject).map((route): [string, JsonObject] => [textAt(route, 'name'), route]),
  );
  const inbound = [...byName].filter(([name]) => name.startsWith('inbound/'));
  const outbound = [...byName].filter(([name]) => name.startsWith('outbound/'));
  const tcp = clusters.filter((name) => name.startsWith('tcp/')).map((name) => name.slice('tcp/'.length));
  const lines = [
    identityOf(configs),
    ...inbound.flatMap(([name, route]) => describeInbound(name.slice('inbound/'.length), route)),
    ...outbound.map(([name, route]) => `may call ${name.slice('outbound/'.length)} (http)${sharesOf(route)}`),
    ...tcp.map((key) => `may call ${key} (tcp)`),
  ];
  return byName.size + tcp.length === 0 ? [...lines, 'no policy yet: it denies everything'] : lines;
}

function identityOf(configs: readonly JsonObject[]): string {
  const secret = configs
    .flatMap((config) => listAt(config, 'dynamic_active_secrets'))
    .find((entry) => textAt(entry, 'name') === identitySecret);
  const chain = textAt(secret, 'secret', 'tls_certificate', 'certificate_chain', 'inline_bytes');
  try {
    const certificate = new X509Certificate(Buffer.from(chain, 'base64'));
    const uri = /URI:(\S+?)(?:,|$)/.exec(certificate.subjectAltName ?? '')?.[1] ?? certificate.subject;
    return `is ${uri}, by a certificate until ${new Date(certificate.validTo).toISOString()}`;
  } catch {
    return 'has no certificate yet';
  }
}

function describeInbound(port: string, route: JsonObject): readonly string[] {
  const access = at(route, 'typed_per_filter_config', rbacFilters.access, 'rbac');
  const enforced = at(access, 'rules') !== undefined;
  const policies = at(access, enforced ? 'rules' : 'shadow_rules', 'policies');
  const mode = enforced ? 'enforced' : 'not enforced: all else is let in too, and reported in shadow mode';
  const rules = Object.entries(isJsonObject(policies) ? policies : {}).map(([name, policy]) => {
    const sources = listAt(policy, 'principals').map((each) =>
      textAt(each, 'authenticated', 'principal_name', 'exact').replace(/^spiffe:\/\/[^/]+\/ns\/([^/]+)\/sa\//, '$1/'),
    );
    const what = listAt(policy, 'permissions').map(describePermission);
    return `  ${name} lets in ${sources.join(', ')}: ${what.join(', ')}`;
  });
  return [`port ${port} (http), ${mode}`, ...(rules.length === 0 ? ['  no rule lets anybody in'] : rules)];
}

function describePermission(permission: unknown): string {
  const all = listAt(permission, 'and_rules', 'rules');
  if (all.length > 0) return all.map(describePermission).join(' ');
  const any = listAt(permission, 'or_rules', 'rules');
  if (any.length > 0) return any.map(describePermission).join('|');
  const path = textAt(permission, 'url_path', 'path', 'safe_regex', 'regex');
  if (path !== '') return path;
  const header = textAt(permission, 'header', 'name');
  const exact = textAt(permission, 'header', 'string_match', 'exact');
  const regex = textAt(permission, 'header', 'string_match', 'safe_regex', 'regex');
  if (header === ':method') return exact;
  return header === '' ? '*' : `${header}: ${exact || regex}`;
}

/** The shares of what no match takes: the last route. */
function sharesOf(route: JsonObject): string {
  const last = listAt(route, 'virtual_hosts')
    .flatMap((host) => listAt(host, 'routes'))
    .at(-1);
  const shares = listAt(last, 'route', 'weighted_clusters', 'clusters').map((cluster) => {
    const weight = at(cluster, 'weight');
    return `${textAt(cluster, 'name')} ${typeof weight === 'number' ? weight : 0}`;
  });
  return shares.length === 0 ? '' : `, shared: ${shares.join(', ')}`;
}

function at(value: unknown, ...keys: readonly string[]): unknown {
  let found = value;
  for (const key of keys) found = isJsonObject(found) ? found[key] : undefined;
  return found;
}

function textAt(value: unknown, ...keys: readonly string[]): string {
  const found = at(value, ...keys);
  return typeof found === 'string' ? found : '';
}

function listAt(value: unknown, ...keys: readonly string[]): readonly unknown[] {
  const found = at(value, ...keys);
  return Array.isArray(found) ? (found as unknown[]) : [];
}
