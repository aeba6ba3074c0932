import type { RuleReport } from '../policy/explain.ts';
import { toServiceAccount } from '../policy/identity.ts';
import type { InboundPolicy } from '../policy/inbound.ts';
import type { HttpRequest } from '../policy/match.ts';
import type { MatchReport } from '../policy/matches.ts';
import type { Origin } from '../policy/origin.ts';
import type { Position } from '../problem/problem.ts';
import { toWrittenField } from '../smi/decode.ts';
import type { ConditionView, Finding, MatchView, TargetView } from './explanation.ts';
import { type MeshFacts, placeOf } from './mesh-facts.ts';
import type { CallQuery, ServerVerdict } from './walk-call.ts';

/** One rule of a server's policy with its conditions, and where each stands. */
export function viewTarget(facts: MeshFacts, report: RuleReport, query: CallQuery, server: ServerVerdict): TargetView {
  const { rule, held, source, port } = report;
  const target = facts.smi.targets.find(({ namespace, name }) => isOrigin(rule.origin, namespace, name));
  const place = (field: string): Position | undefined =>
    target && facts.locate(rule.origin, toWrittenField(target, field));
  const conditions: ConditionView[] = [
    condition('source', source, rule.sources.map(nameOf).join(', '), nameOf(query.source), place('/spec/sources')),
  ];
  if (rule.ports) {
    conditions.push(condition('port', port, rule.ports.join(', '), String(server.port), place('/spec/rules')));
  }
  return {
    origin: rule.origin,
    ...optionalAt(placeOf(facts, rule.origin)),
    held,
    shadow: rule.shadow === true,
    conditions,
    ...(rule.http && { matches: viewMatches(facts, report, query, server) }),
    broken: target ? brokenParts(facts, target) : [],
  };
}

/** TrafficTargets that name these pods and grant nothing at all. */
export function idleTargets(facts: MeshFacts, { identity, rules }: InboundPolicy): readonly TargetView[] {
  const account = toServiceAccount(identity);
  return facts.smi.targets
    .filter(({ namespace, name, destination }) => {
      const meant = destination.name === account?.name && destination.namespace === account.namespace;
      return meant && !rules.some(({ origin }) => isOrigin(origin, namespace, name));
    })
    .map((target) => {
      const { kind, namespace, name, shadow } = target;
      const origin = { kind, namespace, name };
      const broken = brokenParts(facts, target);
      return { origin, ...optionalAt(placeOf(facts, origin)), held: false, shadow, conditions: [], broken };
    });
}

function viewMatches(
  facts: MeshFacts,
  { rule, http }: RuleReport,
  { request }: CallQuery,
  { readsHttp }: ServerVerdict,
): readonly MatchView[] {
  if (request && readsHttp && http) return http.matches.map((match) => viewMatch(facts, match, request));
  return (rule.http ?? []).map((match) => {
    const held = readsHttp ? {} : { held: false };
    const place = placesIn(facts, match);
    const conditions: ConditionView[] = [];
    const add = (what: ConditionView['what'], wanted: string, field: string, more: { header?: string } = {}): void =>
      void conditions.push({ what, ...held, wanted, actual: '', ...more, ...optionalAt(place(field)) });
    if (match.methods) add('method', match.methods.join(' or '), '/methods');
    if (match.path !== undefined) add('path', match.path, '/pathRegex');
    for (const { name: header, value } of match.headers ?? []) add('header', value, '/headers', { header });
    const { name, origin: group } = match;
    return { name, group, ...optionalAt(place('')), ...held, conditions };
  });
}

/** Where the parts of a match stand in its group, as it is written. */
function placesIn(facts: MeshFacts, match: MatchReport['match']): (field: string) => Position | undefined {
  const { name, origin } = match;
  const group = facts.smi.groups.get(`${origin.namespace}/${origin.name}`);
  const index = group?.matches.find((each) => each.name === name && isSameMatch(each, match))?.index;
  return (field) =>
    group && index !== undefined
      ? facts.locate(origin, toWrittenField(group, `/spec/matches/${index}${field}`))
      : undefined;
}

function viewMatch(facts: MeshFacts, report: MatchReport, request: HttpRequest): MatchView {
  const { match, held, path, method, headers } = report;
  const { name, origin } = match;
  const place = placesIn(facts, match);
  const conditions: ConditionView[] = [];
  if (method !== undefined) {
    conditions.push(condition('method', method, (match.methods ?? []).join(' or '), request.method, place('/methods')));
  }
  if (path !== undefined) {
    const [sent = ''] = request.path.split('?');
    conditions.push(condition('path', path, match.path ?? '', sent, place('/pathRegex')));
  }
  for (const { name: header, value, held: holds } of headers ?? []) {
    const lines = header === 'host' ? [request.authority] : request.header(header);
    const actual = lines.map((line) => JSON.stringify(line)).join(', ');
    conditions.push({ ...condition('header', holds, value, actual, place('/headers')), header });
  }
  return { name, group: origin, ...optionalAt(place('')), held, conditions };
}

function isSameMatch(
  written: { readonly pathRegex?: string; readonly methods?: readonly string[] },
  { path, methods }: MatchReport['match'],
): boolean {
  const { pathRegex } = written;
  const samePath = pathRegex === undefined ? path === undefined : path === pathRegex || path === `(?:${pathRegex}).*`;
  return samePath && written.methods?.join() === methods?.join();
}

/** What is wrong with a target, and with the routes that it names. */
function brokenParts(
  { problems, locate }: MeshFacts,
  target: Origin & { readonly rules: readonly { readonly kind: string; readonly name: string }[] },
): readonly Finding[] {
  const { namespace, name, kind, rules } = target;
  return problems
    .filter(({ severity, resource }) => {
      if (severity !== 'error' || resource.namespace !== namespace) return false;
      const own = resource.kind === kind && resource.name === name;
      return own || rules.some((rule) => rule.kind === resource.kind && rule.name === resource.name);
    })
    .map(({ message, resource, field }) => ({ message, ...optionalAt(locate(resource, field)) }));
}

function condition(
  what: ConditionView['what'],
  held: boolean,
  wanted: string,
  actual: string,
  at: Position | undefined,
): ConditionView {
  return { what, held, wanted, actual, ...optionalAt(at) };
}

export function optionalAt(at: Position | undefined): { readonly at?: Position } {
  return at ? { at } : {};
}

function isOrigin(origin: Origin, namespace: string, name: string): boolean {
  return origin.namespace === namespace && origin.name === name;
}

/** `namespace/serviceaccount`, or the identity where it is of another shape. */
export function nameOf(identity: string | undefined): string {
  if (identity === undefined) return 'a caller without a sidecar';
  const account = toServiceAccount(identity);
  return account ? `${account.namespace}/${account.name}` : identity;
}
