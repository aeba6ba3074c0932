import { type ServiceIdentity, toServiceAccount } from '../policy/identity.ts';
import type { AccessRule } from '../policy/inbound.ts';
import type { TrafficTarget } from '../smi/traffic-target/traffic-target.ts';
import { buildGrant, type GrantContext, grantInputs, type TargetGrant } from './access-rule.ts';
import { createGroupsOf, createIndex, createListMap } from './lists.ts';
import { createIntern, createNumbering, keepList, keepMap, sameContent, sameMembers } from './memo.ts';
import { compareName, compareText } from './order.ts';
import { groupBy, type Workload } from './workloads.ts';

/** All permissions of a mesh, found by whom they open. */
export interface Grants {
  readonly all: readonly TargetGrant[];
  /** The rules that open a pod, sorted by name; the same list for all pods that the same rules open. */
  rulesFor(workload: Workload): readonly AccessRule[];
  /** Sources of targets whose destination has no pod at all: who waits for workloads of this namespace. Sorted. */
  waitingFor(namespace: string): readonly ServiceIdentity[];
}

/** Builds what every TrafficTarget grants; a target whose references did not change is not built again. */
export function createGrants(): (context: GrantContext) => Grants {
  const build = createGrantRounds();
  const byName = ({ target: a }: TargetGrant, { target: b }: TargetGrant): number => compareName(a, b);
  const groupByIdentity = createGroupsOf(identitiesOpened, byName);
  const groupBySelector = createGroupsOf(
    ({ target, selectors }: TargetGrant) => (selectors.length > 0 ? [target.namespace] : []),
    byName,
  );
  const ruleLists = createIntern<readonly AccessRule[]>();
  const numberOf = createNumbering();
  const found = new WeakMap<Workload, Found>();
  let waiting: ReadonlyMap<string, readonly ServiceIdentity[]> = new Map();
  let giving: readonly TargetGrant[] = [];
  let latest: Latest | undefined;

  function rulesOf(workload: Workload, named: readonly TargetGrant[], others: readonly TargetGrant[]): Found {
    const { pod } = workload;
    const selected = others.filter(
      (grant) => !named.includes(grant) && grant.selectors.some((labels) => hasLabels(pod.labels, labels)),
    );
    const rules = [...named, ...selected].flatMap(({ rule }) => rule ?? []);
    rules.sort((a, b) => compareText(a.origin.name, b.origin.name));
    return { named, others, rules: ruleLists.get(rules.map(numberOf).join(' '), () => rules) };
  }

  return (context) => {
    const { workloads } = context;
    const all = build(context);
    giving = keepList(
      giving,
      all.filter(({ rule }) => rule !== undefined),
    );
    waiting = keepMap(waiting, waitingSources(giving, workloads, waiting));
    // Rules are asked for pod by pod: what there is of them does not depend on the pods that there are.
    if (latest?.all === all && latest.waiting === waiting) return latest.grants;
    const byIdentity = groupByIdentity(giving);
    const bySelector = groupBySelector(giving);
    const now = waiting;
    const grants: Grants = {
      all,
      rulesFor(workload) {
        const named = byIdentity.get(workload.identity) ?? none;
        const others = bySelector.get(workload.pod.namespace) ?? none;
        const before = found.get(workload);
        if (before?.named === named && before.others === others) return before.rules;
        const made = rulesOf(workload, named, others);
        found.set(workload, made);
        return made.rules;
      },
      waitingFor: (namespace) => now.get(namespace) ?? nobody,
    };
    latest = { all, waiting, grants };
    return grants;
  };
}

/** A target opens pods of its own namespace alone, whatever identity it names. */
function identitiesOpened({ target, identities }: TargetGrant): readonly ServiceIdentity[] {
  return [...new Set(identities)].filter((identity) => toServiceAccount(identity)?.namespace === target.namespace);
}

/** The rules of a workload, and the grants that they were found among. */
interface Found {
  readonly named: readonly TargetGrant[];
  readonly others: readonly TargetGrant[];
  readonly rules: readonly AccessRule[];
}

const none: readonly TargetGrant[] = [];

interface Entry {
  readonly key: string;
  readonly inputs: readonly unknown[];
  readonly grant: TargetGrant;
}

/** Builds the grant of each target, round by round: while what targets may refer to is the same, those that changed. */
function createGrantRounds(): (context: GrantContext) => readonly TargetGrant[] {
  const index = createIndex(({ key }: Entry) => key);
  let context: GrantContext | undefined;
  let known: ReadonlyMap<string, Entry> = new Map();
  let around: readonly unknown[] = [];
  let grants: readonly TargetGrant[] = [];

  const entriesOf = createListMap((target: TrafficTarget): Entry => {
    const now = context as GrantContext;
    const key = `${target.namespace}/${target.name}`;
    const before = known.get(key);
    const inputs = grantInputs(target, now);
    if (before && sameMembers(before.inputs, inputs)) return before;
    const grant = keepRule(before?.grant, buildGrant(target, now));
    return { key, inputs, grant: before && sameContent(before.grant, grant) ? before.grant : grant };
  });

  return (next) => {
    context = next;
    const now = surroundings(next);
    const entries = entriesOf(next.smi.targets, !sameMembers(around, now));
    around = now;
    known = index(entries);
    grants = keepList(
      grants,
      entries.map(({ grant }) => grant),
    );
    return grants;
  };
}

/** All that a target may refer to; pods only where a binding selects some. */
function surroundings({ smi, workloads, trustDomain, pathMatch }: GrantContext): readonly unknown[] {
  const { groups, tcpRoutes, udpRoutes, bindings, undecoded } = smi;
  const selects = [...bindings.values()].some(({ podLabelSelector }) => podLabelSelector !== undefined);
  return [groups, tcpRoutes, udpRoutes, bindings, undecoded, trustDomain, pathMatch, selects ? workloads : undefined];
}

interface Latest {
  readonly all: readonly TargetGrant[];
  readonly waiting: ReadonlyMap<string, readonly ServiceIdentity[]>;
  readonly grants: Grants;
}

const nobody: readonly ServiceIdentity[] = [];

/** The rule stays the same object when only what surrounds it changed: annotations, problems. */
function keepRule(previous: TargetGrant | undefined, next: TargetGrant): TargetGrant {
  const { rule } = next;
  return previous?.rule && rule && equalRule(previous.rule, rule) ? { ...next, rule: previous.rule } : next;
}

function equalRule(a: AccessRule, b: AccessRule): boolean {
  return JSON.stringify(a) === JSON.stringify(b);
}

function hasLabels(labels: Readonly<Record<string, string>>, wanted: Readonly<Record<string, string>>): boolean {
  return Object.entries(wanted).every(([key, value]) => labels[key] === value);
}

function waitingSources(
  grants: readonly TargetGrant[],
  { byIdentity }: GrantContext['workloads'],
  before: ReadonlyMap<string, readonly ServiceIdentity[]>,
): Map<string, readonly ServiceIdentity[]> {
  const idle = grants.filter(({ identities }) => identities.some((identity) => !byIdentity.has(identity)));
  return new Map(
    [...groupBy(idle, ({ target }) => [target.namespace])].map(([namespace, list]) => {
      const sources = [...new Set(list.flatMap(({ rule }) => rule?.sources ?? []))].sort(compareText);
      return [namespace, keepList(before.get(namespace), sources)];
    }),
  );
}
