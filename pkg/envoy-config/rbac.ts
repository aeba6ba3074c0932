import type { ServiceIdentity } from '../policy/identity.ts';
import type { AccessRule, InboundPolicy } from '../policy/inbound.ts';
import type { HttpMatch } from '../policy/match.ts';
import type { HttpRbacPerRoute } from './envoy-http-types.ts';
import type { HeaderMatcher, Permission, Principal, RbacPolicy, RbacRules } from './envoy-rbac-types.ts';
import type { MetadataMatcher } from './envoy-types.ts';

/**
 * Access, in five steps of Envoy's RBAC filter (DECISIONS S3, S11, E3, E4). Each step has a filter of its own in the
 * chain, empty there; what it does comes with the routes, so that a change is in force on connections that are open.
 *
 *   rules      the union of all rules, one policy per TrafficTarget: writes down which one allows, enforces nothing
 *   rehearsal  the same for rules marked shadow
 *   verdict    unless `rules` allowed: one policy per reason, which is written down
 *   enforce    in the mode `enforce`: the same, and the request is refused
 *   report     in the other modes: says `would-deny` where `enforce` would have refused
 *
 * It is asked whether `rules` said allowed, not whether it said denied: no answer is a denial. `verdict` and `enforce`
 * are two, because Envoy writes down what a filter found only once its refusal is on its way.
 */
export const rbacFilters = {
  rules: 'tulle.rbac.rules',
  rehearsal: 'tulle.rbac.rehearsal',
  verdict: 'tulle.rbac.verdict',
  enforce: 'tulle.rbac.enforce',
  report: 'tulle.rbac.report',
} as const;

/** Where all RBAC filters write to; the keys begin with the step's prefix. */
export const rbacMetadata = 'envoy.filters.http.rbac';

export const rbacKeys = {
  result: 'rules_shadow_engine_result',
  rule: 'rules_shadow_effective_policy_id',
  reason: 'verdict_shadow_effective_policy_id',
  verdict: 'verdict_shadow_engine_result',
  report: 'report_shadow_effective_policy_id',
  rehearsed: 'rehearsal_shadow_effective_policy_id',
} as const;

/** The steps for one port of a workload, as `typed_per_filter_config` of its routes. */
export function toRbacConfig(policy: InboundPolicy, port: number): Readonly<Record<string, HttpRbacPerRoute>> {
  const rules = policy.rules.filter(({ shadow }) => shadow !== true);
  const rehearsed = policy.rules.filter(({ shadow }) => shadow === true);
  const verdict = toVerdictRules(rules);
  const enforced = policy.mode === 'enforce';
  return {
    [rbacFilters.rules]: toPerRoute({
      shadow_rules: { action: 'ALLOW', policies: toPolicies(rules, port) },
      shadow_rules_stat_prefix: 'rules_',
    }),
    ...(rehearsed.length > 0
      ? {
          [rbacFilters.rehearsal]: toPerRoute({
            shadow_rules: {
              action: 'ALLOW',
              policies: toPolicies(rehearsed, port),
            },
            shadow_rules_stat_prefix: 'rehearsal_',
          }),
        }
      : {}),
    [rbacFilters.verdict]: toPerRoute({
      shadow_rules: verdict,
      shadow_rules_stat_prefix: 'verdict_',
    }),
    [rbacFilters.enforce]: toPerRoute(enforced ? { rules: verdict } : {}),
    ...(enforced
      ? {}
      : {
          [rbacFilters.report]: toPerRoute({
            shadow_rules: reportRules,
            shadow_rules_stat_prefix: 'report_',
          }),
        }),
  };
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

const authenticated: Principal = { authenticated: {} };

const allowedByRules: MetadataMatcher = {
  filter: rbacMetadata,
  path: [{ key: rbacKeys.result }],
  value: { string_match: { exact: 'allowed' } },
};

const notAllowedByRules: readonly Permission[] = [
  { not_rule: { sourced_metadata: { metadata_matcher: allowedByRules } } },
];

/** The reasons of `decideInbound`; together they leave nobody out. */
function toVerdictRules(rules: readonly AccessRule[]): RbacRules {
  const plaintext = toReason({ not_id: authenticated });
  if (rules.length === 0) {
    return {
      action: 'DENY',
      policies: {
        PlaintextRefused: plaintext,
        NoTarget: toReason(authenticated),
      },
    };
  }
  const named: Principal = {
    or_ids: { ids: sourcesOf(rules).map(toPrincipal) },
  };
  return {
    action: 'DENY',
    policies: {
      PlaintextRefused: plaintext,
      RequestNotAllowed: toReason(named),
      SourceNotAllowed: toReason({
        and_ids: { ids: [authenticated, { not_id: named }] },
      }),
    },
  };
}

function toReason(principal: Principal): RbacPolicy {
  return { permissions: notAllowedByRules, principals: [principal] };
}

function sourcesOf(rules: readonly AccessRule[]): readonly ServiceIdentity[] {
  return [...new Set(rules.flatMap(({ sources }) => sources))].sort();
}

const anyone: readonly Principal[] = [{ any: true }];

const reportRules: RbacRules = {
  action: 'DENY',
  policies: {
    allowed: {
      permissions: [{ sourced_metadata: { metadata_matcher: allowedByRules } }],
      principals: anyone,
    },
    'would-deny': { permissions: notAllowedByRules, principals: anyone },
  },
};

/** Who may open a TCP connection to a port: rules about HTTP requests give none (DECISIONS S3). */
export function tcpSources(policy: InboundPolicy, port: number): readonly ServiceIdentity[] {
  const granting = policy.rules.filter(
    ({ shadow, http, ports }) => shadow !== true && http === undefined && (ports === undefined || ports.includes(port)),
  );
  return sourcesOf(granting);
}
