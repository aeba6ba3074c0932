import { type ServiceIdentity, toServiceIdentity, type TrustDomain } from '../policy/identity.ts';
import type { AccessRule } from '../policy/inbound.ts';
import type { HttpMatch } from '../policy/match.ts';
import type { Problem } from '../problem/problem.ts';
import type { HTTPRouteGroup } from '../smi/http-route-group/http-route-group.ts';
import type { IdentityBinding } from '../smi/identity-binding/identity-binding.ts';
import type { IdentitySubject, TrafficTarget, TrafficTargetRule } from '../smi/traffic-target/traffic-target.ts';
import type { PathMatch, ToHttpMatch } from './http-match.ts';
import { compareText } from './order.ts';
import { createReporter, type Reporter } from './report.ts';
import type { AccessObjects } from './smi-objects.ts';
import type { Workload, Workloads } from './workloads.ts';

/** What one TrafficTarget grants, and to whom it opens. */
export interface TargetGrant {
  readonly target: TrafficTarget;
  /** Absent: it grants nothing. */
  readonly rule?: AccessRule;
  /** Whose pods it opens, by identity; all in the target's own namespace. */
  readonly identities: readonly ServiceIdentity[];
  /** Whose pods it opens, by labels; all in the target's own namespace. */
  readonly selectors: readonly Readonly<Record<string, string>>[];
  readonly problems: readonly Problem[];
}

export interface GrantContext {
  readonly smi: AccessObjects;
  readonly workloads: Workloads;
  readonly trustDomain: TrustDomain;
  readonly pathMatch: PathMatch;
  readonly toHttpMatch: ToHttpMatch;
}

/** The objects that `buildGrant` looks at beside the target: as long as they are the same, so is what it makes. */
export function grantInputs(target: TrafficTarget, context: GrantContext): readonly unknown[] {
  const { smi, trustDomain, pathMatch, workloads } = context;
  const rules = target.rules.map(({ kind, name }) => {
    const key = `${target.namespace}/${name}`;
    if (kind === 'HTTPRouteGroup') return smi.groups.get(key);
    return kind === 'TCPRoute' ? smi.tcpRoutes.get(key) : smi.udpRoutes.get(key);
  });
  const bindings = [target.destination, ...target.sources].flatMap((subject) => {
    const binding = bindingOf(subject, smi);
    return binding?.podLabelSelector ? [binding, workloads.inNamespace(binding.namespace)] : [binding];
  });
  return [target, trustDomain, pathMatch, smi.undecoded, ...rules, ...bindings];
}

/**
 * Builds the permission of one TrafficTarget (DECISIONS S3, S4, S7, S8). What can't be resolved never widens it: a rule that
 * restricts (a port, a path) and leads nowhere lets nothing pass, it does not fall away.
 */
export function buildGrant(target: TrafficTarget, context: GrantContext): TargetGrant {
  const reporter = createReporter(target);
  const { identities, selectors } = resolveDestination(target, context, reporter);
  const sources = resolveSources(target, context, reporter);
  const conditions = resolveRules(target, context, reporter);
  const grants = sources.length > 0 && identities.length + selectors.length > 0 && conditions !== undefined;
  const { kind, namespace, name, shadow } = target;
  return {
    target,
    ...(grants && {
      rule: {
        origin: { kind, namespace, name },
        sources,
        ...conditions,
        ...(shadow && { shadow: true as const }),
      },
    }),
    identities,
    selectors,
    problems: reporter.problems,
  };
}

function bindingOf(
  { kind, namespace, name }: IdentitySubject,
  { bindings }: AccessObjects,
): IdentityBinding | undefined {
  return kind === 'IdentityBinding' ? bindings.get(`${namespace}/${name}`) : undefined;
}

/** A target opens its own namespace's workloads only, whatever the binding says (DECISIONS S8). */
function resolveDestination(
  target: TrafficTarget,
  { smi, trustDomain }: GrantContext,
  { report }: Reporter,
): Pick<TargetGrant, 'identities' | 'selectors'> {
  const { destination, namespace } = target;
  const nothing = { identities: [], selectors: [] };
  if (destination.namespace !== namespace) {
    report('/spec/destination/namespace', {
      severity: 'error',
      reason: 'NamespaceMismatch',
      message: `a target opens workloads of its own namespace "${namespace}", not of "${destination.namespace}"`,
      fix: `move the target to namespace "${destination.namespace}"`,
    });
    return nothing;
  }
  if (destination.kind === 'ServiceAccount') {
    return {
      identities: [toServiceIdentity(trustDomain, destination)],
      selectors: [],
    };
  }
  if (destination.kind !== 'IdentityBinding') {
    report('/spec/destination/kind', kindUnsupported(destination.kind, 'ServiceAccount or IdentityBinding'));
    return nothing;
  }
  const binding = bindingOf(destination, smi);
  if (binding === undefined) {
    report('/spec/destination/name', notFound('IdentityBinding', destination, smi));
    return nothing;
  }
  const { serviceAccount, podLabelSelector, spiffeIdentities = [] } = binding;
  return {
    identities: [
      ...(serviceAccount === undefined ? [] : [toServiceIdentity(trustDomain, { namespace, name: serviceAccount })]),
      ...(spiffeIdentities as readonly ServiceIdentity[]),
    ],
    selectors: podLabelSelector === undefined ? [] : [podLabelSelector],
  };
}

function resolveSources(
  target: TrafficTarget,
  context: GrantContext,
  { report }: Reporter,
): readonly ServiceIdentity[] {
  const { smi, trustDomain } = context;
  if (target.sources.length === 0) {
    report('/spec/sources', {
      severity: 'error',
      reason: 'SourcesEmpty',
      message: 'no source is named, so the target grants nothing to anybody',
      fix: 'name the ServiceAccounts that may call',
    });
  }
  const found = target.sources.flatMap((source, i): readonly ServiceIdentity[] => {
    if (source.broken) return [];
    if (source.kind === 'ServiceAccount') return [toServiceIdentity(trustDomain, source)];
    if (source.kind !== 'IdentityBinding') {
      report(`/spec/sources/${i}/kind`, kindUnsupported(source.kind, 'ServiceAccount or IdentityBinding'));
      return [];
    }
    const binding = bindingOf(source, smi);
    if (binding === undefined) {
      report(`/spec/sources/${i}/name`, notFound('IdentityBinding', source, smi));
      return [];
    }
    return identitiesOf(binding, context);
  });
  return [...new Set(found)].sort(compareText);
}

/** Who is meant by a binding as a source. Labels name pods, and a pod can prove its account only: the accounts count. */
function identitiesOf(binding: IdentityBinding, { trustDomain, workloads }: GrantContext): readonly ServiceIdentity[] {
  const { namespace, serviceAccount, podLabelSelector, spiffeIdentities = [] } = binding;
  const selected: readonly Workload[] = podLabelSelector ? workloads.select(namespace, podLabelSelector) : [];
  return [
    ...(serviceAccount === undefined ? [] : [toServiceIdentity(trustDomain, { namespace, name: serviceAccount })]),
    ...selected.flatMap(({ meshed, identity }) => (meshed ? [identity] : [])),
    ...(spiffeIdentities as readonly ServiceIdentity[]),
  ];
}

type Conditions = Pick<AccessRule, 'ports' | 'http'>;

/** L4 and L7 of a target (DECISIONS S3); undefined: nothing passes. */
function resolveRules(target: TrafficTarget, context: GrantContext, { report }: Reporter): Conditions | undefined {
  const { smi, pathMatch, toHttpMatch } = context;
  const { rules, namespace, destination } = target;
  if (rules.length === 0) {
    report('/spec/rules', {
      severity: 'error',
      reason: 'RulesEmpty',
      message: 'no rule is given, so the target grants nothing',
      fix: 'name an HTTPRouteGroup or a TCPRoute',
    });
    return undefined;
  }
  const http: HttpMatch[] = [];
  const portRules: (readonly number[] | undefined)[] = [];
  let asksHttp = false;
  let asksPorts = false;
  let understood = true;
  for (const [i, rule] of rules.entries()) {
    const at = `/spec/rules/${i}`;
    const key = `${namespace}/${rule.name}`;
    if (rule.broken) {
      understood &&= rule.kind === 'HTTPRouteGroup' || rule.kind === 'TCPRoute' || rule.kind === 'UDPRoute';
      asksHttp ||= rule.kind === 'HTTPRouteGroup';
      asksPorts ||= rule.kind === 'TCPRoute' || rule.kind === 'UDPRoute';
    } else if (rule.kind === 'HTTPRouteGroup') {
      asksHttp = true;
      const group = smi.groups.get(key);
      if (group === undefined) report(`${at}/name`, notFound(rule.kind, { namespace, name: rule.name }, smi));
      else http.push(...selectMatches(group, rule, at, report).map((match) => toHttpMatch(group, match, pathMatch)));
    } else if (rule.kind === 'TCPRoute') {
      asksPorts = true;
      const route = smi.tcpRoutes.get(key);
      if (route === undefined) report(`${at}/name`, notFound(rule.kind, { namespace, name: rule.name }, smi));
      else portRules.push(route.ports);
    } else if (rule.kind === 'UDPRoute') {
      asksPorts = true;
      if (!smi.udpRoutes.has(key)) report(`${at}/name`, notFound(rule.kind, { namespace, name: rule.name }, smi));
      report(at, {
        severity: 'info',
        reason: 'UdpNotEnforced',
        message: 'UDP does not pass through sidecars: it is neither opened nor closed, and TCP is not opened by it',
        fix: 'restrict UDP with a NetworkPolicy',
      });
    } else {
      understood = false;
      report(`${at}/kind`, kindUnsupported(rule.kind, 'HTTPRouteGroup, TCPRoute or UDPRoute'));
    }
  }
  if (!understood) return undefined;
  if (asksHttp && http.length === 0) return undefined;
  if (asksPorts && portRules.length === 0) return undefined;
  const named = portsOf(portRules);
  const ports = destination.port === undefined ? named : [destination.port].filter((p) => named?.includes(p) ?? true);
  if (ports?.length === 0) {
    if (destination.port !== undefined && named !== undefined && named.length > 0) {
      report('/spec/destination/port', {
        severity: 'error',
        reason: 'PortUnresolved',
        message: `port ${destination.port} is in none of the TCPRoutes, and both must hold, so the target grants nothing`,
        fix: 'remove it, or add it to a TCPRoute',
      });
    }
    return undefined;
  }
  return { ...(ports && { ports }), ...(asksHttp && { http }) };
}

/** The union; undefined: any port, because no rule names ports or one names all. */
function portsOf(rules: readonly (readonly number[] | undefined)[]): readonly number[] | undefined {
  const named = rules.flatMap((ports) => ports ?? []);
  return rules.length === 0 || rules.includes(undefined) ? undefined : [...new Set(named)].sort((a, b) => a - b);
}

/** The matches that a rule names, all when it names none (DECISIONS S4). Several of one name are all meant. */
function selectMatches(
  group: HTTPRouteGroup,
  rule: TrafficTargetRule,
  at: string,
  report: Reporter['report'],
): HTTPRouteGroup['matches'] {
  const names = rule.matches;
  if (names === undefined) return group.matches;
  for (const [i, name] of names.entries()) {
    if (group.matches.some((match) => match.name === name)) continue;
    const near = group.matches.find((match) => match.name.toLowerCase() === name.toLowerCase());
    const known = group.matches.map((match) => match.name).join(', ');
    report(`${at}/matches/${i}`, {
      severity: 'error',
      reason: 'MatchNotFound',
      message: `HTTPRouteGroup "${group.name}" has no valid match "${name}"`,
      fix: near ? `write "${near.name}"` : known === '' ? 'add it there' : `add it there, or name one of ${known}`,
    });
  }
  return group.matches.filter(({ name }) => names.includes(name));
}

function kindUnsupported(kind: string, wanted: string): Parameters<Reporter['report']>[1] {
  const effect = wanted.startsWith('HTTP') ? 'the whole target grants nothing' : 'nobody is meant by it';
  const message = `kind "${kind}" is not known here, so ${effect}`;
  return {
    severity: 'error',
    reason: 'KindUnsupported',
    message,
    fix: `use ${wanted}`,
  };
}

function notFound(
  kind: string,
  { namespace, name }: { readonly namespace: string; readonly name: string },
  { undecoded }: AccessObjects,
): Parameters<Reporter['report']>[1] {
  const there = undecoded.has(`${kind} ${namespace}/${name}`);
  return {
    severity: 'error',
    reason: kind === 'IdentityBinding' ? 'IdentityBindingNotFound' : 'RouteNotFound',
    message: there
      ? `${kind} "${name}" in namespace "${namespace}" is not valid, so nothing is granted by it`
      : `no ${kind} "${name}" in namespace "${namespace}"`,
    fix: there ? 'correct it there' : 'create it, or correct the name',
  };
}
