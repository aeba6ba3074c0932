import type { MeshModel } from '../../pkg/catalog/mesh-model.ts';
import type { Endpoint } from '../../pkg/policy/endpoints.ts';
import { toServiceAccount } from '../../pkg/policy/identity.ts';
import type { AccessRule, InboundPolicy } from '../../pkg/policy/inbound.ts';
import type { HttpMatch } from '../../pkg/policy/match.ts';
import type { OutboundRoute, OutboundService } from '../../pkg/policy/outbound.ts';
import type { DirectoryEntry, ProxyPolicy, Reach } from '../../pkg/policy/proxy-policy.ts';

/** A model as people read it: what is shared stands once, beside the pods that share it. */
export function describeModel({ pods }: MeshModel): unknown {
  const policies = [...pods].sort(([a], [b]) => (a < b ? -1 : 1));
  const directory = policies[0]?.[1].directory ?? new Map<string, DirectoryEntry>();
  return {
    directory: Object.fromEntries([...directory].map(([key, entry]) => [key, describeEntry(entry)])),
    inbound: shared(policies, ({ inbound }) => inbound).map(([inbound, names]) => ({
      pods: names,
      ...describeInbound(inbound),
    })),
    reach: shared(policies, ({ reach }) => reach).map(([reach, names]) => ({ pods: names, ...describeReach(reach) })),
  };
}

/** Each distinct part, with the pods that share the very same object. */
function shared<T>(
  policies: readonly (readonly [string, ProxyPolicy])[],
  part: (policy: ProxyPolicy) => T,
): [T, string[]][] {
  const names = new Map<T, string[]>();
  for (const [name, policy] of policies) names.set(part(policy), [...(names.get(part(policy)) ?? []), name]);
  return [...names];
}

function describeEntry({ protocol, addresses, pods }: DirectoryEntry): string | object {
  const line = `${protocol} at ${addresses.length === 0 ? 'its pods' : addresses.join(', ')}`;
  return pods === undefined ? line : { [line]: pods.map(({ ip, hostnames }) => `${ip} ${hostnames[0] ?? ''}`.trim()) };
}

function describeInbound({ identity, mode, modeFrom, ports, rules }: InboundPolicy): object {
  return {
    identity: account(identity),
    mode: `${mode} (${modeFrom})`,
    ports: ports.map(({ port, protocol, services }) => `${port} ${protocol} of ${services.join(', ')}`),
    rules: rules.map(describeRule),
  };
}

function describeRule({ origin, sources, ports, http, shadow }: AccessRule): object {
  return {
    target: `${origin.namespace}/${origin.name}`,
    ...(shadow && { shadow }),
    sources: sources.map(account),
    ...(ports && { ports: ports.join(', ') }),
    ...(http && { http: http.map(describeMatch) }),
  };
}

function describeMatch({ name, origin, path, methods, headers }: HttpMatch): string {
  const conditions = [
    methods ? methods.join('|') : '*',
    path ?? '*',
    ...(headers ?? []).map((header) => `${header.name}: ${header.value}`),
  ];
  return `${origin.name}/${name} = ${conditions.join(' ')}`;
}

function describeReach({ outbound, endpoints }: Reach): object {
  return {
    outbound: Object.fromEntries([...outbound].sort(byKey).map(([key, service]) => [key, describeService(service)])),
    endpoints: Object.fromEntries(
      [...endpoints].sort(byKey).map(([key, set]) => [key, set.endpoints.map(describeEndpoint)]),
    ),
  };
}

function byKey([a]: readonly [string, unknown], [b]: readonly [string, unknown]): number {
  return a < b ? -1 : 1;
}

function describeService({ routes }: OutboundService): unknown {
  const described = routes.map(describeRoute);
  return described.length === 1 ? described[0] : described;
}

function describeRoute({ match, origin, backends }: OutboundRoute): unknown {
  const to = backends.map(({ weight, service, port, endpoints, excluded }) => {
    const view = endpoints.includes('~') ? ` (${endpoints})` : '';
    return `${weight} ${service}:${port}${view}${excluded === undefined ? '' : ` excluded: ${excluded}`}`;
  });
  if (match === undefined && origin === undefined && to.length === 1) return to[0];
  return { ...(origin && { split: origin.name }), ...(match && { when: match.map(describeMatch) }), to };
}

function describeEndpoint({ address, pod, identity, meshed, ready, hostname }: Endpoint): string {
  const at = address.kind === 'pipe' ? address.path : `${address.ip}:${address.port}`;
  const notes = [
    meshed ? account(identity) : 'not meshed',
    ...(hostname === undefined ? [] : [hostname]),
    ...(ready ? [] : ['not ready']),
  ];
  return `${at} ${pod === '' ? '-' : pod} (${notes.join(', ')})`;
}

function account(identity: string): string {
  const found = identity.startsWith('spiffe://cluster.local/') ? toServiceAccount(identity) : undefined;
  return found ? `${found.namespace}/${found.name}` : identity;
}
