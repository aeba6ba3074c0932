import type { RawObject } from '../catalog/snapshot.ts';
import { explainCall } from '../explain/explain-call.ts';
import { type MeshFacts, toMeshFacts } from '../explain/mesh-facts.ts';
import { encodeSmiObject } from '../smi/encode.ts';
import type { SmiObject } from '../smi/kinds.ts';
import type { TrafficTarget } from '../smi/traffic-target/traffic-target.ts';
import { generalisePaths, type PathStyle } from './generalise-paths.ts';
import type { HouseStyle } from './house-style.ts';
import { type RecordedCall, replay, toQuestion } from './replay.ts';
import { groupCalls } from './what-if.ts';

export interface Proof {
  /** Calls that it was made for. */
  readonly wanted: number;
  /** Of those, how many pass with it. */
  readonly allowed: number;
  /** Calls that say the same as those that it was made for, and pass as well. */
  readonly alike: number;
  /** Calls that pass with it and were not meant to: it is wider than what was asked for. */
  readonly others: readonly RecordedCall[];
  readonly othersCount: number;
  /** Wanted calls that it does not let pass, and why. */
  readonly left: ReadonlyMap<string, number>;
}

/** Was it refused by policy, or would it be were policy enforced? */
export function isRefused({ verdict, reason, rule, mode, source }: RecordedCall): boolean {
  if (source === '') return false;
  const byPolicy = ['', 'NoTarget', 'SourceNotAllowed', 'RequestNotAllowed'].includes(reason);
  if (verdict !== 'allowed') return byPolicy;
  return rule === '' && (mode === 'permissive' || mode === 'shadow');
}

/** What has to be let in at one ServiceAccount, from one source. */
interface Demand {
  readonly namespace: string;
  readonly account: string;
  /** Name of the Service that was called. */
  readonly service: string;
  readonly source: string;
  readonly requests: { readonly method: string; readonly path: string }[];
  readonly ports: Set<number>;
}

/**
 * Writes the smallest policy that lets `wanted` pass: TrafficTargets with an HTTPRouteGroup, or a TCPRoute; to be added to
 * what is there. `prove` says what it comes to.
 */
export function suggestPolicy(
  facts: MeshFacts,
  wanted: readonly RecordedCall[],
  paths: PathStyle,
  style: HouseStyle,
): readonly RawObject[] {
  const taken = new Set(
    facts.snapshot.smi.map(({ kind, metadata }) => `${kind} ${metadata.namespace}/${metadata.name}`),
  );
  return byService(demandsOf(facts, wanted)).flatMap((list) => writeObjects(facts, list, paths, style, taken));
}

function demandsOf(facts: MeshFacts, wanted: readonly RecordedCall[]): readonly Demand[] {
  const demands = new Map<string, Demand>();
  for (const { call } of groupCalls(wanted)) {
    const question = toQuestion(facts, call, facts);
    if ('fault' in question || question.request?.kind === 'malformed') continue;
    const { entry } = question.destination;
    const { backends } = explainCall(facts, question);
    for (const { account, port, reason } of backends) {
      if (account === undefined || port === undefined || reason === undefined || reason === 'PlaintextRefused')
        continue;
      const [namespace = '', name = ''] = account.split('/');
      const key = [account, call.source, entry.name].join(' ');
      const demand = demands.get(key) ?? {
        namespace,
        account: name,
        service: entry.name,
        source: call.source,
        requests: [],
        ports: new Set<number>(),
      };
      demands.set(key, demand);
      if (question.request) {
        const { method, path } = question.request.request;
        demand.requests.push({ method, path: path.split('?')[0] ?? '' });
      } else demand.ports.add(port);
    }
  }
  return [...demands.values()];
}

function byService(demands: readonly Demand[]): readonly (readonly Demand[])[] {
  const groups = new Map<string, Demand[]>();
  for (const demand of demands) {
    const key = `${demand.namespace}/${demand.service}`;
    groups.set(key, [...(groups.get(key) ?? []), demand]);
  }
  return [...groups.values()];
}

interface Match {
  readonly name: string;
  readonly pathRegex: string;
  readonly methods: readonly string[];
}

/** A match, in the group that has it; '' is the one that is being written. */
interface MatchRef {
  readonly group: string;
  readonly name: string;
}

function writeObjects(
  facts: MeshFacts,
  demands: readonly Demand[],
  paths: PathStyle,
  style: HouseStyle,
  taken: Set<string>,
): readonly RawObject[] {
  const [first] = demands;
  if (first === undefined) return [];
  const { namespace, service } = first;
  const objects: SmiObject[] = [];
  const matches: Match[] = [];
  const meta = { namespace, labels: {}, annotations: {} };
  const ofDemand = demands.map((demand) => ({ demand, refs: matchesFor(facts, demand, paths, matches) }));
  const callers = new Set(demands.map(({ source }) => source.split('/')[1] ?? ''));
  const [caller] = callers;
  const wished = [`${service}${style.suffix}`, ...(callers.size === 1 ? [`${caller}-${service}${style.suffix}`] : [])];
  const groupName = matches.length > 0 ? freeName('HTTPRouteGroup', namespace, wished, taken) : '';
  if (matches.length > 0) {
    objects.push({
      ...meta,
      apiVersion: style.apiVersions.HTTPRouteGroup,
      kind: 'HTTPRouteGroup',
      name: groupName,
      matches: matches.map((match, index) => ({ ...match, index })),
    });
  }
  const targets = new Map<
    string,
    { account: string; sources: string[]; refs: readonly MatchRef[]; ports: readonly number[] }
  >();
  for (const { demand, refs } of ofDemand) {
    // TCP and HTTP of one target must both hold, so what speaks TCP has a target of its own.
    for (const part of [
      { refs, ports: [] },
      { refs: [], ports: [...demand.ports].sort((a, b) => a - b) },
    ]) {
      if (part.refs.length + part.ports.length === 0) continue;
      const key = JSON.stringify([demand.account, part]);
      const known = targets.get(key);
      if (known) known.sources.push(demand.source);
      else targets.set(key, { account: demand.account, sources: [demand.source], ...part });
    }
  }
  for (const { account, sources, refs, ports } of targets.values()) {
    const caller = sources.length === 1 ? (sources[0]?.split('/')[1] ?? '') : 'clients';
    const name = freeName('TrafficTarget', namespace, [`${caller}${style.joint}${account}`], taken);
    const routeName = ports.length > 0 ? freeName('TCPRoute', namespace, [`${account}-tcp`], taken) : '';
    if (ports.length > 0) {
      objects.push({ ...meta, apiVersion: style.apiVersions.TCPRoute, kind: 'TCPRoute', name: routeName, ports });
    }
    objects.push({
      ...meta,
      apiVersion: style.apiVersions.TrafficTarget,
      kind: 'TrafficTarget',
      name,
      shadow: false,
      destination: { kind: 'ServiceAccount', namespace, name: account },
      rules: ports.length > 0 ? [{ kind: 'TCPRoute', name: routeName }] : rulesOf(refs, groupName),
      sources: sources.sort().map((source) => {
        const [space = '', own = ''] = source.split('/');
        return { kind: 'ServiceAccount', namespace: space, name: own };
      }),
    });
  }
  return objects.flatMap((object) => (encodeSmiObject(object) ?? []) as RawObject | []);
}

function rulesOf(refs: readonly MatchRef[], written: string): TrafficTarget['rules'] {
  const groups = new Map<string, string[]>();
  for (const { group, name } of refs) {
    const key = group === '' ? written : group;
    groups.set(key, [...(groups.get(key) ?? []), name]);
  }
  return [...groups].map(([name, matches]) => ({ kind: 'HTTPRouteGroup', name, matches }));
}

/** The matches that a demand takes: those that are there and say the same; what is missing is added to `matches`. */
function matchesFor(
  { smi }: MeshFacts,
  { requests, namespace }: Demand,
  style: PathStyle,
  matches: Match[],
): readonly MatchRef[] {
  const patterns = generalisePaths(
    requests.map(({ path }) => path),
    style,
  );
  const groups = [...smi.groups.values()].filter((group) => group.namespace === namespace);
  return patterns.map(({ pattern, paths }) => {
    const methods = [
      ...new Set(requests.filter(({ path }) => paths.includes(path)).map(({ method }) => method)),
    ].sort();
    const isSame = (match: Partial<Match> & { readonly headers?: unknown }): boolean =>
      match.pathRegex === pattern && [...(match.methods ?? [])].sort().join() === methods.join() && !match.headers;
    for (const { name: group, matches: own } of groups) {
      const there = own.find(isSame);
      if (there && own.filter(({ name }) => name === there.name).length === 1) return { group, name: there.name };
    }
    const same = matches.find(isSame);
    if (same) return { group: '', name: same.name };
    const slug = slugOf(pattern);
    let name = slug;
    for (let i = 2; matches.some((match) => match.name === name); i++) name = `${slug}-${i}`;
    matches.push({ name, pathRegex: pattern, methods });
    return { group: '', name };
  });
}

/** `/buy-a-book/[^/]+` is `buy-a-book`. */
function slugOf(pattern: string): string {
  const slug = pattern
    .replace(/\[\^\/\]\+|\.\*|\\/g, '')
    .toLowerCase()
    .replace(/[^a-z0-9]+/g, '-')
    .replace(/^-+|-+$/g, '')
    .slice(0, 40);
  return slug === '' ? 'root' : slug;
}

/** The first of the wished names that is free; else the last with a number. */
function freeName(kind: string, namespace: string, wished: readonly string[], taken: Set<string>): string {
  const isFree = (name: string): boolean => !taken.has(`${kind} ${namespace}/${name}`);
  const last = (wished.at(-1) ?? kind.toLowerCase()).slice(0, 240);
  let name = wished.find((each) => isFree(each)) ?? `${last}-2`;
  for (let i = 3; !isFree(name); i++) name = `${last}-${i}`;
  taken.add(`${kind} ${namespace}/${name}`);
  return name;
}

/** The recorded calls, put to the policy with the new objects in it, and to the one without. */
export function prove(
  facts: MeshFacts,
  objects: readonly RawObject[],
  wanted: readonly RecordedCall[],
  seen: readonly RecordedCall[],
): Proof {
  const enforced = (smi: readonly RawObject[]): MeshFacts => {
    const { config, namespaces } = facts.snapshot;
    return toMeshFacts({
      ...facts.snapshot,
      config: { ...config, mode: 'enforce' },
      namespaces: namespaces.map(({ name, meshed }) => ({ name, meshed })),
      smi,
    });
  };
  const before = enforced(facts.snapshot.smi);
  const after = enforced([...facts.snapshot.smi, ...objects]);
  const left = new Map<string, number>();
  let allowed = 0;
  for (const { call, count } of groupCalls(wanted)) {
    const { answer, why } = replay(after, call, facts);
    if (answer === 'allow') allowed += count;
    else {
      const reason = why ?? (answer === 'unavailable' ? 'nobody is there to answer' : `it is ${answer} with it`);
      left.set(reason, (left.get(reason) ?? 0) + count);
    }
  }
  const meant = new Set(wanted);
  const likeness = ({ source, service, method, path }: RecordedCall): string =>
    [source, service, method, path.split('?')[0]].join(' ');
  const kinds = new Set(wanted.map(likeness));
  const rest = seen.filter((call) => !meant.has(call) && isRefused(call));
  const alike = rest.filter((call) => kinds.has(likeness(call))).length;
  const others = groupCalls(rest.filter((call) => !kinds.has(likeness(call)))).filter(({ call }) => {
    const is = replay(after, call, facts).summary?.served ?? 0;
    return is > (replay(before, call, facts).summary?.served ?? 0) + 1e-9;
  });
  const othersCount = others.reduce((sum, { count }) => sum + count, 0);
  return { wanted: wanted.length, allowed, alike, others: others.map(({ call }) => call), othersCount, left };
}
