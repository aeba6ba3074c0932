import { isHttp } from '../catalog/protocol.ts';
import { coversMatch } from '../explain/match-cover.ts';
import type { MeshFacts } from '../explain/mesh-facts.ts';
import { nameOf } from '../explain/view-target.ts';
import type { Endpoint } from '../policy/endpoints.ts';
import { type ServiceIdentity, toServiceIdentity, type TrustDomain } from '../policy/identity.ts';
import type { HttpMatch } from '../policy/match.ts';
import type { ServicePortKey } from '../policy/outbound.ts';
import type { ProxyPolicy } from '../policy/proxy-policy.ts';

/** What a source may do: one method of one match, or anything. */
export interface Route extends Pick<HttpMatch, 'path' | 'headers'> {
  /** Absent: any. */
  readonly method?: string;
}

export interface Access {
  readonly route: Route;
  /** Names of the backends where it passes. */
  readonly backends: ReadonlySet<string>;
}

export interface ServiceAccess {
  readonly service: ServicePortKey;
  /** All that take calls for it: the Service itself, or what a split makes of it. */
  readonly backends: ReadonlySet<string>;
  /** By `namespace/serviceaccount`, sorted; `*` is everybody. */
  readonly bySource: ReadonlyMap<string, readonly Access[]>;
}

export const everybody = '*';

/** Who may call whom, and with what: everything that policy lets pass, by Service, source and route. */
export function accessTable({ model, snapshot }: MeshFacts): ReadonlyMap<ServicePortKey, ServiceAccess> {
  const trustDomain = snapshot.config.trustDomain as TrustDomain;
  const anybody = toServiceIdentity(trustDomain, { namespace: 'none', name: 'nobody' });
  const sources = new Set<ServiceIdentity>();
  for (const { identity, inbound } of model.pods.values()) {
    sources.add(identity);
    for (const { sources: named } of inbound.rules) for (const source of named) sources.add(source);
  }
  for (const { namespace, serviceAccount: name } of snapshot.pods) {
    sources.add(toServiceIdentity(trustDomain, { namespace, name }));
  }
  const policies = [...sources].map((source) => ({ source, policy: model.policyOf(source) }));
  policies.sort((a, b) => (a.source < b.source ? -1 : 1));
  const anyPolicy = model.policyOf(anybody);
  const table = new Map<ServicePortKey, ServiceAccess>();
  for (const key of [...anyPolicy.directory.keys()].sort()) {
    const backends = new Set<string>();
    const bySource = new Map<string, readonly Access[]>();
    const open = accessOf(anyPolicy, anybody, key);
    if (open.length > 0) bySource.set(everybody, open);
    for (const { source, policy } of policies) {
      for (const name of backendsOf(policy, key)) backends.add(name);
      const own = accessOf(policy, source, key).filter((access) => !isCovered(access, open));
      if (own.length > 0) bySource.set(nameOf(source), own);
    }
    table.set(key, { service: key, backends, bySource });
  }
  return table;

  function accessOf({ reach }: ProxyPolicy, source: ServiceIdentity, key: ServicePortKey): readonly Access[] {
    const found = new Map<string, { route: Route; backends: Set<string> }>();
    for (const { backends } of reach.outbound.get(key)?.routes ?? []) {
      for (const { excluded, weight, endpoints, service } of backends) {
        if (excluded !== undefined || weight === 0) continue;
        for (const endpoint of reach.endpoints.get(endpoints)?.endpoints ?? []) {
          for (const route of routesAt(endpoint, source)) {
            const text = routeText(route);
            const known = found.get(text);
            if (known) known.backends.add(service);
            else found.set(text, { route, backends: new Set([service]) });
          }
        }
      }
    }
    const all = [...found].sort(([a], [b]) => (a < b ? -1 : 1)).map(([, access]) => access);
    return all.filter(
      (access, i) =>
        !all.some((other, k) => k !== i && isCovered(access, [other]) && (k < i || !isCovered(other, [access]))),
    );
  }

  function routesAt({ meshed, pod, port }: Endpoint, source: ServiceIdentity): readonly Route[] {
    const policy = meshed ? model.pods.get(pod)?.inbound : undefined;
    if (!meshed || policy?.mode === 'permissive' || policy?.mode === 'shadow') return [{}];
    const known = policy?.ports.find((each) => each.port === port);
    if (policy === undefined || known === undefined) return [];
    return policy.rules.flatMap(({ shadow, sources: named, ports, http }): readonly Route[] => {
      if (shadow || !named.includes(source) || !(ports?.includes(port) ?? true)) return [];
      if (http === undefined) return [{}];
      return isHttp(known.protocol) ? http.flatMap(toRoutes) : [];
    });
  }
}

/** What calls may come to, by name; of a Service that is split, its backends. */
function backendsOf({ reach }: ProxyPolicy, key: ServicePortKey): readonly string[] {
  const backends = reach.outbound.get(key)?.routes.flatMap((route) => route.backends) ?? [];
  return backends.filter(({ excluded, weight }) => excluded === undefined && weight > 0).map(({ service }) => service);
}

function toRoutes({ path, methods, headers }: HttpMatch): readonly Route[] {
  const rest = { ...(path !== undefined && { path }), ...(headers && { headers }) };
  return methods ? methods.map((method) => ({ method, ...rest })) : [rest];
}

function isCovered({ route, backends }: Access, by: readonly Access[]): boolean {
  return by.some((other) => coversRoute(other.route, route) && [...backends].every((name) => other.backends.has(name)));
}

export function coversRoute(a: Route, b: Route): boolean {
  return coversMatch(toMatch(a), toMatch(b));
}

function toMatch({ method, path, headers }: Route): Parameters<typeof coversMatch>[0] {
  return {
    ...(method !== undefined && { methods: [method] }),
    ...(path !== undefined && { path }),
    ...(headers && { headers }),
  };
}

/** `GET /books x-tier: beta`; `anything`. */
export function routeText({ method, path, headers = [] }: Route): string {
  if (method === undefined && path === undefined && headers.length === 0) return 'anything';
  return [method ?? '*', path ?? '*', ...headers.map(({ name, value }) => `${name}: ${value}`)].join(' ');
}
