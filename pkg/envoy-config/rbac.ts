import type { ServiceIdentity } from '../policy/identity.ts';
import { isEnforced, type AccessRule, type InboundPolicy } from '../policy/inbound.ts';
import type { HttpMatch } from '../policy/match.ts';
import type { HttpRbacFields, HttpRbacPerRoute } from './envoy-http-types.ts';
import type { Permission, Principal, RbacPolicy, RbacRules } from './envoy-rbac-types.ts';
import type { HeaderMatcher } from './envoy-types.ts';

/**
 * Access, by Envoy's RBAC filter (DECISIONS S3, S11, E3, E4). Filters are empty in the chain; what they do comes with the
 * routes, so that a change is in force on connections that are open.
 *
 *   access     the union of all rules, one policy per TrafficTarget: refuses what none of them allows; in the modes that
 *              refuse nothing, it writes down what it would have done
 *   rehearsal  the same for rules marked shadow, which are only written down
 *
 * Why a request is refused is asked once it is (refusal-reason.ts): those that are allowed don't pay for it.
 */
export const rbacFilters = { access: 'tulle.rbac.access', rehearsal: 'tulle.rbac.rehearsal' } as const;

/** Where all RBAC filters write to. */
export const rbacMetadata = 'envoy.filters.http.rbac';

/** `enforced…` are Envoy's own names. The others begin with the prefix of a filter. */
export const rbacKeys = {
  enforcedResult: 'enforced_engine_result',
  enforcedRule: 'enforced_effective_policy_id',
  wouldResult: 'access_shadow_engine_result',
  wouldRule: 'access_shadow_effective_policy_id',
  rehearsed: 'rehearsal_shadow_effective_policy_id',
} as const;

/** The steps for one port of a workload, as `typed_per_filter_config` of its routes. */
export function toRbacConfig(policy: InboundPolicy, port: number): Readonly<Record<string, HttpRbacPerRoute>> {
  const rules: RbacRules = { action: 'ALLOW', policies: toPolicies(grantsOf(policy), port) };
  const rehearsed = policy.rules.filter(({ shadow }) => shadow === true);
  const access = isEnforced(policy) ? { rules } : { shadow_rules: rules, shadow_rules_stat_prefix: 'access_' };
  const rehearsal: HttpRbacFields = {
    shadow_rules: { action: 'ALLOW', policies: toPolicies(rehearsed, port) },
    shadow_rules_stat_prefix: 'rehearsal_',
  };
  return {
    [rbacFilters.access]: toPerRoute(access),
    ...(rehearsed.length > 0 ? { [rbacFilters.rehearsal]: toPerRoute(rehearsal) } : {}),
  };
}

function grantsOf({ rules }: InboundPolicy): readonly AccessRule[] {
  return rules.filter(({ shadow }) => shadow !== true);
}

/** Everyone whom some rule names, for whatever request. */
export function namedSources(policy: InboundPolicy): readonly ServiceIdentity[] {
  return sourcesOf(grantsOf(policy));
}

function toPerRoute(rbac: HttpRbacPerRoute['rbac']): HttpRbacPerRoute {
  return {
    '@type': 'type.googleapis.com/envoy.extensions.filters.http.rbac.v3.RBACPerRoute',
    rbac,
  };
}

function toPolicies(rules: readonly AccessRule[], port: number): Record<string, RbacPolicy> {
  const policies: Record<string, RbacPolicy> = {};
  for (const rule of rules) {
    if (rule.ports !== undefined && !rule.ports.includes(port)) continue;
    policies[freeName(policies, `${rule.origin.namespace}/${rule.origin.name}`)] = {
      permissions: rule.http === undefined ? [any] : rule.http.map(toPermission),
      principals: rule.sources.map(toPrincipal),
    };
  }
  return policies;
}

/** Two rules may come of one object; Envoy's policies are named once each. */
function freeName(policies: Readonly<Record<string, unknown>>, name: string): string {
  let free = name;
  for (let i = 2; free in policies; i++) free = `${name}#${i}`;
  return free;
}

const any: Permission = { any: true };

function toPermission(match: HttpMatch): Permission {
  const rules: Permission[] = [];
  if (match.path !== undefined) rules.push({ url_path: { path: { safe_regex: { regex: match.path } } } });
  if (match.methods !== undefined) {
    const methods = match.methods.map((method) => ({
      header: { name: ':method', string_match: { exact: method } },
    }));
    rules.push(methods.length === 1 && methods[0] ? methods[0] : { or_rules: { rules: methods } });
  }
  for (const header of match.headers ?? []) rules.push({ header: toHeaderMatcher(header) });
  if (rules.length === 0) return any;
  return rules.length === 1 && rules[0] ? rules[0] : { and_rules: { rules } };
}

/** One line that matches suffices: Envoy tests each line by itself (DECISIONS S6). */
export function toHeaderMatcher({ name, value }: { readonly name: string; readonly value: string }): HeaderMatcher {
  return {
    name: name === 'host' ? ':authority' : name,
    string_match: { safe_regex: { regex: value } },
  };
}

function toPrincipal(source: ServiceIdentity): Principal {
  return { authenticated: { principal_name: { exact: source } } };
}

function sourcesOf(rules: readonly AccessRule[]): readonly ServiceIdentity[] {
  return [...new Set(rules.flatMap(({ sources }) => sources))].sort();
}

/** Who may open a TCP connection to a port: rules about HTTP requests give none (DECISIONS S3). */
export function tcpSources(policy: InboundPolicy, port: number): readonly ServiceIdentity[] {
  const granting = grantsOf(policy).filter(
    ({ http, ports }) => http === undefined && (ports === undefined || ports.includes(port)),
  );
  return sourcesOf(granting);
}
