import type { Endpoint, EndpointSet } from '../policy/endpoints.ts';
import type { AppProtocol, InboundPolicy, PolicyMode } from '../policy/inbound.ts';
import type { OutboundService } from '../policy/outbound.ts';
import type { DirectoryEntry, MeshSettings } from '../policy/proxy-policy.ts';

/** What is wrong with a resource; its text goes back to the control plane as a NACK. */
export class PolicyRefused extends Error {
  override readonly name = 'PolicyRefused';
}

type Fields = Readonly<Record<string, unknown>>;

const protocols: ReadonlySet<unknown> = new Set<AppProtocol>(['http', 'grpc', 'tcp', 'tcp-server-first']);
const modes: ReadonlySet<unknown> = new Set<PolicyMode>(['permissive', 'shadow', 'enforce']);

/** The bytes of a resource of ours: UTF-8 JSON of one object. */
export function decodeJson(name: string, value: Uint8Array): Fields {
  let json: unknown;
  try {
    json = JSON.parse(Buffer.from(value.buffer, value.byteOffset, value.byteLength).toString('utf8'));
  } catch {
    throw new PolicyRefused(`${name}: not JSON`);
  }
  if (typeof json !== 'object' || json === null || Array.isArray(json)) throw new PolicyRefused(`${name}: no object`);
  return json as Fields;
}

export function decodeSettings(name: string, fields: Fields): MeshSettings {
  const { tracing, egress, trustDomain } = fields;
  const sampling = (tracing as Fields | undefined)?.['sampling'];
  require(name, 'trustDomain', typeof trustDomain === 'string');
  require(name, 'egress', egress === 'allow' || egress === 'deny');
  require(name, 'tracing.sampling', typeof sampling === 'number' && sampling >= 0 && sampling <= 1);
  return fields as unknown as MeshSettings;
}

export function decodeInboundPolicy(name: string, fields: Fields): InboundPolicy {
  require(name, 'identity', typeof fields['identity'] === 'string');
  require(name, 'mode', modes.has(fields['mode']));
  for (const [i, port] of list(name, 'ports', fields['ports']).entries()) {
    require(name, `ports[${i}].port`, isPort(port['port']));
    require(name, `ports[${i}].protocol`, protocols.has(port['protocol']));
    require(name, `ports[${i}].services`, isStrings(port['services']));
  }
  for (const [i, rule] of list(name, 'rules', fields['rules']).entries()) {
    require(name, `rules[${i}].sources`, isStrings(rule['sources']));
    require(name, `rules[${i}].ports`, rule['ports'] === undefined || isPorts(rule['ports']));
    require(name, `rules[${i}].origin`, typeof rule['origin'] === 'object' && rule['origin'] !== null);
    // An empty list would read as "no condition": never widen (DECISIONS S4).
    const { http } = rule;
    require(name, `rules[${i}].http`, http === undefined || (Array.isArray(http) && http.length > 0));
  }
  return fields as unknown as InboundPolicy;
}

export function decodeOutboundService(name: string, fields: Fields): OutboundService {
  requireServicePort(name, fields);
  require(name, 'headless', typeof fields['headless'] === 'boolean');
  const routes = list(name, 'routes', fields['routes']);
  require(name, 'routes', routes.length > 0);
  for (const [i, route] of routes.entries()) {
    for (const [j, backend] of list(name, `routes[${i}].backends`, route['backends']).entries()) {
      const at = `routes[${i}].backends[${j}]`;
      require(name, `${at}.weight`, Number.isSafeInteger(backend['weight']) && (backend['weight'] as number) >= 0);
      require(name, `${at}.endpoints`, typeof backend['endpoints'] === 'string');
    }
  }
  return fields as unknown as OutboundService;
}

export function decodeDirectoryEntry(name: string, fields: Fields): DirectoryEntry {
  requireServicePort(name, fields);
  require(name, 'hostnames', isStrings(fields['hostnames']));
  if (fields['pods'] !== undefined) {
    for (const [i, pod] of list(name, 'pods', fields['pods']).entries()) {
      require(name, `pods[${i}].ip`, typeof pod['ip'] === 'string');
      require(name, `pods[${i}].hostnames`, isStrings(pod['hostnames']));
    }
  }
  return fields as unknown as DirectoryEntry;
}

export function decodeEndpointSet(name: string, fields: Fields): EndpointSet {
  for (const [i, endpoint] of list(name, 'endpoints', fields['endpoints']).entries()) {
    const { address, identity, meshed, ready } = endpoint as unknown as Endpoint;
    const at = `endpoints[${i}]`;
    require(name, `${at}.address`, isAddress(address));
    require(name, `${at}.ready`, typeof ready === 'boolean');
    require(name, `${at}.meshed`, typeof meshed === 'boolean');
    // Without an identity to hold the peer to, a meshed endpoint could be anyone.
    require(name, `${at}.identity`, typeof identity === 'string' && (!meshed || identity !== ''));
  }
  return fields as unknown as EndpointSet;
}

function requireServicePort(name: string, fields: Fields): void {
  require(name, 'key', fields['key'] === name);
  require(name, 'port', isPort(fields['port']));
  require(name, 'protocol', protocols.has(fields['protocol']));
  require(name, 'addresses', isStrings(fields['addresses']));
  require(name, 'name', typeof fields['name'] === 'string');
  require(name, 'namespace', typeof fields['namespace'] === 'string');
}

function require(name: string, field: string, holds: boolean): void {
  if (!holds) throw new PolicyRefused(`${name}: ${field} is missing or wrong`);
}

function list(name: string, field: string, value: unknown): Fields[] {
  const good = Array.isArray(value) && value.every((item) => typeof item === 'object' && item !== null);
  require(name, field, good);
  return value as Fields[];
}

function isStrings(value: unknown): boolean {
  return Array.isArray(value) && value.every((item) => typeof item === 'string');
}

function isPort(value: unknown): boolean {
  return Number.isInteger(value) && (value as number) > 0 && (value as number) < 65536;
}

function isPorts(value: unknown): boolean {
  return Array.isArray(value) && value.length > 0 && value.every(isPort);
}

function isAddress(address: unknown): boolean {
  if (typeof address !== 'object' || address === null) return false;
  const { kind, path, ip, port } = address as Record<string, unknown>;
  if (kind === 'pipe') return typeof path === 'string' && path.startsWith('/');
  return kind === 'ip' && typeof ip === 'string' && isPort(port);
}
