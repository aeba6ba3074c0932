import { type ServiceIdentity, toServiceIdentity, type TrustDomain } from '../policy/identity.ts';
import { keepList, sameContent } from './memo.ts';
import { compareText } from './order.ts';
import type { Pod } from './snapshot.ts';

/** A pod, with what the mesh makes of it. The same object as long as that is the same. */
export interface Workload {
  /** `namespace/name`. */
  readonly key: string;
  readonly pod: Pod;
  readonly identity: ServiceIdentity;
  readonly meshed: boolean;
}

export interface Workloads {
  /** Sorted by key. */
  readonly all: readonly Workload[];
  readonly byKey: ReadonlyMap<string, Workload>;
  readonly byIdentity: ReadonlyMap<ServiceIdentity, readonly Workload[]>;
  /** Sorted by key. An empty selector selects nothing. */
  select(namespace: string, selector: Readonly<Record<string, string>>): readonly Workload[];
  inNamespace(namespace: string): readonly Workload[];
}

/** Makes workloads of pods; keeps what did not change. Selecting costs what is found, not what there is. */
export function createWorkloadIndex(): (pods: readonly Pod[], trustDomain: TrustDomain) => Workloads {
  const known = new WeakMap<Pod, Workload>();
  const labels = new WeakMap<readonly Workload[], ReadonlyMap<string, readonly Workload[]>>();
  let lists = new Map<string, readonly Workload[]>();
  let latest: ReadonlyMap<string, Workload> = new Map();

  function workloadOf(pod: Pod, trustDomain: TrustDomain): Workload {
    const { namespace, name, serviceAccount } = pod;
    const key = `${namespace}/${name}`;
    const identity = toServiceIdentity(trustDomain, {
      namespace,
      name: serviceAccount,
    });
    // Others are keyed by workloads: one of equal content must be the same object, wherever its pod was read anew.
    const last = latest.get(key);
    if (last?.identity === identity && (known.get(pod) === last || sameContent(last.pod, pod))) {
      known.set(pod, last);
      return last;
    }
    const workload = { key, pod, identity, meshed: pod.meshed };
    known.set(pod, workload);
    return workload;
  }

  function labelsOf(list: readonly Workload[]): ReadonlyMap<string, readonly Workload[]> {
    let index = labels.get(list);
    if (index === undefined) {
      index = groupBy(list, ({ pod }) => Object.entries(pod.labels).map(([key, value]) => `${key}=${value}`));
      labels.set(list, index);
    }
    return index;
  }

  return (pods, trustDomain) => {
    const made = pods.map((pod) => workloadOf(pod, trustDomain));
    const byKey = new Map(made.map((workload) => [workload.key, workload]));
    latest = byKey;
    const all = [...byKey.values()].sort((a, b) => compareText(a.key, b.key));
    const byNamespace = groupBy(all, ({ pod }) => [pod.namespace]);
    lists = new Map([...byNamespace].map(([name, list]) => [name, keepList(lists.get(name), list)]));
    const inNamespace = new Map(lists);
    return {
      all,
      byKey,
      byIdentity: groupBy(all, ({ identity }) => [identity]),
      inNamespace: (namespace) => inNamespace.get(namespace) ?? nobody,
      select(namespace, selector) {
        const list = inNamespace.get(namespace);
        const wanted = Object.entries(selector);
        if (list === undefined || wanted.length === 0) return [];
        const found = wanted.map(([key, value]) => labelsOf(list).get(`${key}=${value}`) ?? []);
        const fewest = found.reduce((a, b) => (b.length < a.length ? b : a));
        return fewest.filter(({ pod }) => wanted.every(([key, value]) => pod.labels[key] === value));
      },
    };
  };
}

const nobody: readonly Workload[] = [];

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
