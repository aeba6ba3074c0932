import { X509Certificate } from 'node:crypto';
import { identitySecret, nowhereCluster, peersSecret } from '../envoy-config/names.ts';
import { rbacFilters } from '../envoy-config/rbac.ts';
import { isJsonObject, type JsonObject } from '../smi/reader.ts';
import { describeReach } from './envoy-reach-text.ts';
import { at, listAt, textAt } from './json-at.ts';

/**
 * What an Envoy has, in the words of policy, from its own `/config_dump` (admin v3 ConfigDump): who it is, who may call it,
 * what it may call. What is not understood is left out: the whole is what `-o json` prints.
 */
export function describeEnvoy(dump: unknown): readonly string[] {
  const configs = listAt(dump, 'configs').filter(isJsonObject);
  const listeners = configs
    .flatMap((config) => listAt(config, 'dynamic_listeners'))
    .map((entry) => at(entry, 'active_state', 'listener'))
    .filter(isJsonObject);
  if (listeners.length === 0) return [identityOf(configs), 'no policy yet: it denies everything'];
  const inbound = configs
    .flatMap((config) => listAt(config, 'dynamic_route_configs'))
    .map((entry) => at(entry, 'route_config'))
    .filter(isJsonObject)
    .map((route) => ({ port: /^inbound\/(\d+)$/.exec(textAt(route, 'name'))?.[1], route }))
    .sort((a, b) => Number(a.port) - Number(b.port));
  return [
    identityOf(configs),
    ...inbound.flatMap(({ port, route }) => (port === undefined ? [] : describeInbound(port, route))),
    ...describeTcpPorts(listeners, configs),
    ...describeReach(configs),
  ];
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
      toAccount(textAt(each, 'authenticated', 'principal_name', 'exact')),
    );
    const what = listAt(policy, 'permissions').map(describePermission);
    return `  ${name} lets in ${sources.join(', ')}: ${what.join(', ')}`;
  });
  return [`port ${port} (http), ${mode}`, ...(rules.length === 0 ? ['  no rule lets anybody in'] : rules)];
}

/** Who may connect is checked in the handshake, against the accounts of the secret `peers/PORT`. */
function describeTcpPorts(listeners: readonly JsonObject[], configs: readonly JsonObject[]): readonly string[] {
  const chains = listeners
    .filter((listener) => /^inbound(?:\/|$)/.test(textAt(listener, 'name')))
    .flatMap((listener) => listAt(listener, 'filter_chains'))
    .map((chain) => {
      const [, port = '', history] = /^(\d+)\/tls(\/.*)?$/.exec(textAt(chain, 'name')) ?? [];
      const config = at(listAt(chain, 'filters').at(-1), 'typed_config');
      return { port, isEnforced: history !== undefined, cluster: textAt(config, 'cluster') };
    })
    .filter(({ port, cluster }) => port !== '' && cluster !== '');
  return chains.flatMap(({ port, isEnforced, cluster }) => {
    if (cluster === nowhereCluster) return [`port ${port} (tcp), enforced`, '  no rule lets anybody in'];
    if (!isEnforced) return [`port ${port} (tcp), not enforced: anybody is let in`];
    const secret = configs
      .flatMap((config) => listAt(config, 'dynamic_active_secrets'))
      .find((entry) => textAt(entry, 'name') === peersSecret(Number(port)));
    const peers = listAt(secret, 'secret', 'validation_context', 'match_typed_subject_alt_names').map((each) =>
      toAccount(textAt(each, 'matcher', 'exact')),
    );
    return [`port ${port} (tcp), enforced`, `  lets in ${peers.join(', ')}`];
  });
}

function toAccount(identity: string): string {
  return identity.replace(/^spiffe:\/\/[^/]+\/ns\/([^/]+)\/sa\//, '$1/');
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
