import { type ServiceIdentity, toServiceIdentity, type TrustDomain } from '../policy/identity.ts';
import { toPlainAddress } from './address.ts';
import { createGroupsOf, createIndex, createListMap, createSorted } from './lists.ts';
import { sameContent, sameMembers } from './memo.ts';
import { compareKey } from './order.ts';
import type { Pod } from './snapshot.ts';

/** A pod, with what the mesh makes of it. The same object as long as that is the same. */
export interface Workload {
  /** `namespace/name`. */
  readonly key: string;
  readonly pod: Pod;
  readonly identity: ServiceIdentity;
  readonly meshed: boolean;
}

type Labels = Readonly<Record<string, string>>;

/** Lists are the same ones as long as nothing in them changed. */
export interface Workloads {
  /** Sorted by key. */
  readonly all: readonly Workload[];
  readonly byKey: ReadonlyMap<string, Workload>;
  readonly byIdentity: ReadonlyMap<ServiceIdentity, readonly Workload[]>;
  /** Sorted by key. An empty selector selects nothing. */
  select(namespace: string, selector: Labels): readonly Workload[];
  inNamespace(namespace: string): readonly Workload[];
  /** The pods of a namespace at an address. */
  atAddress(namespace: string, ip: string): readonly Workload[];
  /** The pods of all namespaces at an address, in its plain spelling (address.ts). */
  atPlainAddress(address: string): readonly Workload[];
}

/** Makes workloads of pods; keeps what did not change. Selecting costs what is found, not what there is. */
export function createWorkloadIndex(): (pods: readonly Pod[], trustDomain: TrustDomain) => Workloads {
  let domain: TrustDomain | undefined;
  let byKey: ReadonlyMap<string, Workload> = new Map();
  const workloadsOf = createListMap((pod: Pod): Workload => {
    const { namespace, name, serviceAccount } = pod;
    const key = `${namespace}/${name}`;
    const identity = toServiceIdentity(domain as TrustDomain, { namespace, name: serviceAccount });
    // Others are keyed by workloads: one of equal content must be the same object, wherever its pod was read anew.
    const last = byKey.get(key);
    if (last?.identity === identity && sameContent(last.pod, pod)) return last;
    return { key, pod, identity, meshed: pod.meshed };
  });
  const index = createIndex(({ key }: Workload) => key);
  const sort = createSorted<Workload>(compareKey);
  const groupByIdentity = createGroupsOf(({ identity }: Workload) => [identity], compareKey);
  const groupByNamespace = createGroupsOf(({ pod }: Workload) => [pod.namespace], compareKey);
  const groupByAddress = createGroupsOf(({ pod }: Workload) => [`${pod.namespace} ${pod.ip}`], compareKey);
  const groupByPlainAddress = createGroupsOf(
    ({ pod: { ip } }: Workload) => (ip === '' ? [] : [toPlainAddress(ip)]),
    compareKey,
  );
  const groupByLabel = createGroupsOf(
    ({ pod: { namespace, labels } }: Workload) =>
      Object.entries(labels).map(([key, value]) => toLabelKey(namespace, key, value)),
    compareKey,
  );
  const selections = new WeakMap<Labels, Selection>();

  function selectionOf(namespace: string, selector: Labels): Selection {
    const known = selections.get(selector);
    if (known?.namespace === namespace) return known;
    const wanted = Object.entries(selector);
    const keys = wanted.map(([key, value]) => toLabelKey(namespace, key, value));
    const selection = { namespace, wanted, keys, groups: [], found: nobody };
    selections.set(selector, selection);
    return selection;
  }

  return (pods, trustDomain) => {
    const isOther = domain !== trustDomain;
    domain = trustDomain;
    const made = workloadsOf(pods, isOther);
    byKey = index(made);
    const all = sort(byKey.size === made.length ? made : [...byKey.values()]);
    const byLabel = groupByLabel(all);
    const byNamespace = groupByNamespace(all);
    let byAddress: ReadonlyMap<string, readonly Workload[]> | undefined;
    let byPlainAddress: ReadonlyMap<string, readonly Workload[]> | undefined;
    return {
      all,
      byKey,
      byIdentity: groupByIdentity(all),
      inNamespace: (namespace) => byNamespace.get(namespace) ?? nobody,
      atAddress: (namespace, ip) => (byAddress ??= groupByAddress(all)).get(`${namespace} ${ip}`) ?? nobody,
      atPlainAddress: (address) => (byPlainAddress ??= groupByPlainAddress(all)).get(address) ?? nobody,
      select(namespace, selector) {
        const selection = selectionOf(namespace, selector);
        const { keys, wanted } = selection;
        const [only] = keys;
        if (only === undefined) return nobody;
        if (keys.length === 1) return byLabel.get(only) ?? nobody;
        const groups = keys.map((key) => byLabel.get(key) ?? nobody);
        if (sameMembers(selection.groups, groups)) return selection.found;
        const fewest = groups.reduce((a, b) => (b.length < a.length ? b : a));
        selection.groups = groups;
        selection.found = fewest.filter(({ pod }) => wanted.every(([key, value]) => pod.labels[key] === value));
        return selection.found;
      },
    };
  };
}

/** What a selector found the last time, in the groups that each of its labels has. */
interface Selection {
  readonly namespace: string;
  readonly wanted: readonly (readonly [string, string])[];
  readonly keys: readonly string[];
  groups: readonly (readonly Workload[])[];
  found: readonly Workload[];
}

const nobody: readonly Workload[] = [];

/** A pod that starts is in the mesh before it can be called. */
export function hasAddress({ ip, inboundAddress }: Pod): boolean {
  return ip !== '' || inboundAddress !== undefined;
}

/** Neither a namespace nor a label's key has a space in it. */
function toLabelKey(namespace: string, key: string, value: string): string {
  return `${namespace} ${key} ${value}`;
}

export function groupBy<K, V>(list: readonly V[], keysOf: (value: V) => readonly K[]): Map<K, V[]> {
  const groups = new Map<K, V[]>();
  for (const value of list) {
    for (const key of keysOf(value)) {
      const group = groups.get(key);
      if (group) group.push(value);
      else groups.set(key, [value]);
    }
  }
  return groups;
}
