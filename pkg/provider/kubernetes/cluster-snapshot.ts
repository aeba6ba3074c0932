import { keepList, sameContent } from '../../catalog/memo.ts';
import type {
  EndpointSlice,
  MeshConfig,
  MeshSnapshot,
  Namespace,
  Pod,
  RawObject,
  Service,
} from '../../catalog/snapshot.ts';
import type { Outcome, Problem } from '../../problem/problem.ts';
import { type MeshConfigObject, toEffectiveConfig } from './mesh-config-object.ts';
import type { Kept } from './reflected.ts';
import type { KeptNamespace, KeptPod, KeptPolicy } from './resources.ts';

type Items<T> = Iterable<Kept<T>>;

/** What is known of a cluster, by kind. */
export interface ClusterState {
  readonly namespaces: Items<KeptNamespace>;
  readonly services: Items<Outcome<Service>>;
  readonly endpointSlices: Items<Outcome<EndpointSlice | undefined>>;
  readonly pods: Items<KeptPod>;
  readonly meshConfig: Items<MeshConfigObject>;
  readonly smi: readonly Items<RawObject>[];
  readonly osmPolicies: readonly Items<KeptPolicy>[];
}

export type ClusterPart = keyof ClusterState;

export interface ClusterSnapshot {
  readonly snapshot: MeshSnapshot;
  readonly problems: readonly Problem[];
}

interface Part<T> {
  readonly list: readonly T[];
  readonly problems: readonly Problem[];
}

const nothing: Part<never> = { list: [], problems: [] };
const absent: Outcome<undefined> = { value: undefined, problems: [] };

export interface ClusterSnapshotOptions {
  /** What the installation says. */
  readonly installed: MeshConfig;
  readonly meshName: string;
  /** `namespace/name` of the MeshConfig object, for people. */
  readonly meshConfigName: string;
  /** Pods with a sidecar count before their address is told: their sidecars may be there (record 0010). */
  readonly starting?: boolean;
}

/**
 * Makes a snapshot of what is known of a cluster: meshed namespaces and what is in them. A namespace that left the mesh
 * counts as meshed as long as pods with a sidecar live in it: those go on to need policy, addresses and certificates. That
 * it was in the mesh is remembered from the snapshots before and from nothing in the cluster: whatever is in a namespace,
 * those who may write there can forge, and would enlist it.
 *
 * `changed` says which kinds to look at again; all else is the same reference as in the snapshot before, and so is a list
 * whose members are.
 */
export function createClusterSnapshots(
  state: ClusterState,
  { installed, meshName, meshConfigName, starting = false }: ClusterSnapshotOptions,
): (changed: ReadonlySet<ClusterPart>) => ClusterSnapshot {
  let meshed: ReadonlySet<string> = new Set();
  /** By uid: one that is created anew was never in the mesh. */
  let members: ReadonlySet<string> = new Set();
  let namespaces: Part<Namespace> = nothing;
  let services: Part<Service> = nothing;
  let endpointSlices: Part<EndpointSlice> = nothing;
  let pods: Part<Pod> = nothing;
  let smi: Part<RawObject> = nothing;
  let policies: readonly Problem[] = [];
  let object: MeshConfigObject | undefined;
  let config = installed;
  let last: ClusterSnapshot | undefined;

  const isMeshed = ({ namespace }: Kept<unknown>): boolean => meshed.has(namespace);

  function partOf<T, U>(before: Part<T>, items: Items<U>, read: (kept: Kept<U>) => Outcome<T | undefined>): Part<T> {
    const list: T[] = [];
    const problems: Problem[] = [];
    for (const kept of items) {
      const { value, problems: own } = read(kept);
      if (value !== undefined) list.push(value);
      problems.push(...own);
    }
    return { list: keepList(before.list, list), problems: keepList(before.problems, problems) };
  }

  return (changed) => {
    const has = (part: ClusterPart): boolean => last === undefined || changed.has(part);
    let borders = false;
    if (has('namespaces') || has('pods')) {
      const inhabited = namespacesWithSidecars(state.pods, meshName);
      const stay = new Set<string>();
      namespaces = partOf<Namespace, KeptNamespace>(namespaces, state.namespaces, ({ name, uid, value }) => {
        const { left, unserved } = value;
        if (!value.value.meshed && !inhabited.has(name)) return absent;
        if (!value.value.meshed && (left === undefined || !members.has(uid))) return unserved;
        stay.add(uid);
        return value.value.meshed ? value : (left ?? unserved);
      });
      members = stay;
      const names = new Set(namespaces.list.map(({ name }) => name));
      borders = names.size !== meshed.size || [...names].some((name) => !meshed.has(name));
      if (borders) meshed = names;
    }
    if (borders || has('services'))
      services = partOf(services, state.services, (kept) => (isMeshed(kept) ? kept.value : absent));
    if (borders || has('endpointSlices')) {
      endpointSlices = partOf(endpointSlices, state.endpointSlices, (kept) => (isMeshed(kept) ? kept.value : absent));
    }
    if (borders || has('pods')) {
      pods = partOf(pods, state.pods, (kept) =>
        isMeshed(kept) && isPartOfMesh(kept.value, starting) ? { value: kept.value.pod, problems: [] } : absent,
      );
    }
    if (borders || has('smi')) {
      smi = partOf(smi, concat(state.smi), (kept) => (isMeshed(kept) ? { value: kept.value, problems: [] } : absent));
    }
    if (borders || has('osmPolicies')) {
      const inForce = [...concat(state.osmPolicies)].filter(isMeshed).map(toProblem);
      policies = sameContent(policies, inForce) ? policies : inForce;
    }
    if (has('meshConfig')) {
      [object] = [...state.meshConfig].map(({ value }) => value);
      const next = toEffectiveConfig(installed, object, meshConfigName);
      config = sameContent(config, next) ? config : next;
    }

    const snapshot: MeshSnapshot = {
      config,
      namespaces: namespaces.list,
      services: services.list,
      pods: pods.list,
      endpointSlices: endpointSlices.list,
      smi: smi.list,
    };
    const problems = [
      ...namespaces.problems,
      ...services.problems,
      ...endpointSlices.problems,
      ...policies,
      ...(object?.problems ?? []),
    ];
    const before = last;
    const isSame =
      before !== undefined &&
      (Object.keys(snapshot) as (keyof MeshSnapshot)[]).every((key) => snapshot[key] === before.snapshot[key]);
    last = {
      snapshot: isSame ? before.snapshot : snapshot,
      problems: keepList(before?.problems, problems),
    };
    return last;
  };
}

/** A pod without an address can't be called yet, and the address of one that has ended may be another's. */
function isPartOfMesh({ pod, ended }: KeptPod, starting: boolean): boolean {
  return !ended && (pod.ip !== '' || (starting && pod.meshed));
}

/** Names of the namespaces with living pods that have a sidecar of this mesh, meshed or no longer. */
export function namespacesWithSidecars(pods: Items<KeptPod>, meshName: string): ReadonlySet<string> {
  const names = new Set<string>();
  for (const { namespace, value } of pods) {
    const { pod, ended, mesh = meshName } = value;
    if (pod.meshed && !ended && mesh === meshName) names.add(namespace);
  }
  return names;
}

function* concat<T>(lists: readonly Items<T>[]): Iterable<Kept<T>> {
  for (const list of lists) yield* list;
}

function toProblem({ namespace, name, value: { apiVersion, kind } }: Kept<KeptPolicy>): Problem {
  return {
    resource: { apiVersion, kind, namespace, name },
    field: '',
    severity: 'warning',
    reason: 'KindUnsupported',
    message: `${kind} of Open Service Mesh is recognised, but not in force yet`,
    fix: 'remove it, or leave it for a version that takes it up',
  };
}
