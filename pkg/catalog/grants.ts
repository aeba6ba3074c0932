import type { ServiceIdentity } from '../policy/identity.ts';
import type { AccessRule } from '../policy/inbound.ts';
import type { TrafficTarget } from '../smi/traffic-target/traffic-target.ts';
import { buildGrant, type GrantContext, grantInputs, type TargetGrant } from './access-rule.ts';
import { createIntern, createNumbering, keepList, keepMap, sameContent, sameMembers } from './memo.ts';
import { compareText } from './order.ts';
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
  const ruleLists = createIntern<readonly AccessRule[]>();
  const numberOf = createNumbering();
  let waiting: ReadonlyMap<string, readonly ServiceIdentity[]> = new Map();
  let latest: Latest | undefined;

  return (context) => {
    const { workloads } = context;
    const all = keepList(latest?.all, build(context));

    const giving = all.filter(({ rule }) => rule !== undefined);
    const now = keepMap(waiting, waitingSources(giving, workloads, waiting));
    waiting = now;
    // Rules are asked for pod by pod: what there is of them does not depend on the pods that there are.
    if (latest !== undefined && latest.all === all && latest.waiting === now) return latest.grants;
    const byIdentity = groupBy(giving, ({ target, identities }) => identities.map((id) => `${target.namespace} ${id}`));
    const bySelector = groupBy(
      giving.filter(({ selectors }) => selectors.length > 0),
      ({ target }) => [target.namespace],
    );
    const lists = new Map<string, readonly AccessRule[]>();
    const known = new WeakMap<Workload, readonly AccessRule[]>();

    const grants: Grants = {
      all,
      rulesFor(workload) {
        const found = known.get(workload);
        if (found !== undefined) return found;
        const { pod, identity } = workload;
        const named = byIdentity.get(`${pod.namespace} ${identity}`) ?? [];
        const selected = (bySelector.get(pod.namespace) ?? []).filter(
          (grant) => !named.includes(grant) && grant.selectors.some((labels) => hasLabels(pod.labels, labels)),
        );
        const key = [`${pod.namespace} ${identity}`, ...selected.map(({ target }) => target.name)].join(' ');
        let list = lists.get(key);
        if (list === undefined) {
          const rules = [...named, ...selected].flatMap(({ rule }) => rule ?? []);
          rules.sort((a, b) => compareText(a.origin.name, b.origin.name));
          list = ruleLists.get(rules.map(numberOf).join(' '), () => rules);
          lists.set(key, list);
        }
        known.set(workload, list);
        return list;
      },
      waitingFor: (namespace) => now.get(namespace) ?? nobody,
    };
    latest = { all, waiting: now, grants };
    return grants;
  };
}

interface Entry {
  readonly target: TrafficTarget;
  readonly inputs: readonly unknown[];
  readonly grant: TargetGrant;
}

/** Builds the grant of each target, round by round: while what targets may refer to is the same, those that changed. */
function createGrantRounds(): (context: GrantContext) => readonly TargetGrant[] {
  let entries: ReadonlyMap<string, Entry> = new Map();
  let around: readonly unknown[] = [];

  function entryOf(target: TrafficTarget, before: Entry | undefined, context: GrantContext, settled: boolean): Entry {
    if (settled && before?.target === target) return before;
    const inputs = grantInputs(target, context);
    if (before && sameMembers(before.inputs, inputs)) return before;
    const grant = keepRule(before?.grant, buildGrant(target, context));
    return { target, inputs, grant: before && sameContent(before.grant, grant) ? before.grant : grant };
  }

  return (context) => {
    const now = surroundings(context);
    const settled = sameMembers(around, now);
    const next = new Map<string, Entry>();
    for (const target of context.smi.targets) {
      const key = `${target.namespace}/${target.name}`;
      next.set(key, entryOf(target, entries.get(key), context, settled));
    }
    entries = next;
    around = now;
    return [...next.values()].map(({ grant }) => grant);
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
