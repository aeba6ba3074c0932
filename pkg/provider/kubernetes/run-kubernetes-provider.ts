import { randomInt } from 'node:crypto';
import type { Locate, MeshConfig, MeshSnapshot } from '../../catalog/snapshot.ts';
import { type Clock, systemClock } from '../../certs/clock.ts';
import type { Logger } from '../../observability/logger.ts';
import type { Problem, ResourceRef } from '../../problem/problem.ts';
import type { Cluster } from './cluster.ts';
import { type ClusterPart, createClusterSnapshots } from './cluster-snapshot.ts';
import {
  createNamespaceDirectory,
  createPodDirectory,
  type NamespaceDirectory,
  type PodDirectory,
} from './directories.ts';
import { createDiscovery } from './discovery.ts';
import type { MeshConfigObject } from './mesh-config-object.ts';
import type { Change, Kept, ReflectedResource, Reflector, ReflectorStatus, ReflectorTiming } from './reflected.ts';
import { runReflector } from './reflector.ts';
import { createClusterResources } from './resources.ts';

export interface KubernetesProviderOptions {
  readonly cluster: Cluster;
  readonly meshName: string;
  readonly controlNamespace: string;
  /** Name of the MeshConfig object in the control namespace; `osm-mesh-config` when absent. */
  readonly meshConfigName?: string;
  /** What the installation says; MeshConfig and namespaces have the last word. */
  readonly config: MeshConfig;
  /** Pods with a sidecar are in the mesh before their addresses are told (record 0010). */
  readonly starting?: boolean;
  readonly signal: AbortSignal;
  readonly log: Logger;
  /**
   * Called when everything was read once, and then for each change. The next call comes when this one has come to its
   * end: what happens meanwhile is in it. There are no files, so that `locate` finds no place.
   */
  readonly onSnapshot: (
    snapshot: MeshSnapshot,
    problems: readonly Problem[],
    more: { readonly locate: Locate },
  ) => void | Promise<void>;
  /** Called when the MeshConfig object says something else than before. */
  readonly onMeshConfig?: () => void;
  readonly clock?: Clock;
  readonly random?: () => number;
  readonly timing?: Partial<ReflectorTiming>;
}

export interface KubernetesProvider {
  /** Settles when the signal has been aborted; rejects when `onSnapshot` does. */
  readonly done: Promise<void>;
  readonly pods: PodDirectory;
  readonly namespaces: NamespaceDirectory;
  /** Undefined: there is no such object, or none was read yet. */
  meshConfig(): MeshConfigObject | undefined;
  /** An object that a problem is about, if it is there now. */
  findObject(resource: ResourceRef): { readonly uid: string; readonly apiVersion: string } | undefined;
  /** How well the cluster is followed: ready is when all are `synced`. */
  status(): readonly ReflectorStatus[];
}

/**
 * Follows a cluster until `signal` is aborted. Needs `providerPermissions`. Kinds that aren't installed are taken in as
 * soon as they are. Nothing waits for a timer: what comes in one turn of the event loop is one snapshot (DECISIONS E7a).
 */
export function runKubernetesProvider(options: KubernetesProviderOptions): KubernetesProvider {
  const { cluster, config, signal, onSnapshot, onMeshConfig = () => undefined, clock = systemClock } = options;
  const { meshName, controlNamespace, meshConfigName = 'osm-mesh-config', starting = false, timing = {} } = options;
  const random = options.random ?? ((): number => randomInt(2 ** 32) / 2 ** 32);
  const log = options.log.with({ component: 'cluster' });
  const find = createDiscovery(cluster, clock, signal);
  const resources = createClusterResources({ meshName, controlNamespace, meshConfig: meshConfigName }, find);
  const changed = new Set<ClusterPart>();
  const bell = createBell(signal);
  const all: { readonly kind: string; readonly part: ClusterPart; readonly reflector: Reflector<unknown> }[] = [];
  /** Policies of OSM change nothing that is in force: they are not waited for. */
  const synced = (): boolean => all.every(({ part, reflector }) => part === 'osmPolicies' || reflector.status().synced);

  function follow<T>(
    part: ClusterPart,
    resource: ReflectedResource<T>,
    note: (changes: readonly Change<T>[]) => void = () => undefined,
  ): Reflector<T> {
    const onChange = (changes: readonly Change<T>[]): void => {
      changed.add(part);
      note(changes);
      bell.ring();
    };
    const onStatus = (): void => bell.ring();
    const reflector = runReflector({ cluster, resource, onChange, onStatus, signal, clock, random, log, timing });
    all.push({ kind: resource.kind, part, reflector });
    return reflector;
  }

  const podDirectory = createPodDirectory(cluster, () => pods.items, signal, clock, meshName);
  const namespaceDirectory = createNamespaceDirectory(() => namespaces.items);
  const namespaces = follow('namespaces', resources.namespaces, () => namespaceDirectory.note());
  const meshConfig = follow('meshConfig', resources.meshConfig, () => onMeshConfig());
  const services = follow('services', resources.services);
  const endpointSlices = follow('endpointSlices', resources.endpointSlices);
  const pods = follow('pods', resources.pods, (changes) => podDirectory.note(changes));
  const smi = resources.smi.map((resource) => follow('smi', resource));
  const osmPolicies = resources.osmPolicies.map((resource) => follow('osmPolicies', resource));

  const makeSnapshot = createClusterSnapshots(
    {
      namespaces: valuesOf(namespaces),
      services: valuesOf(services),
      endpointSlices: valuesOf(endpointSlices),
      pods: valuesOf(pods),
      meshConfig: valuesOf(meshConfig),
      smi: smi.map(valuesOf),
      osmPolicies: osmPolicies.map(valuesOf),
    },
    { installed: config, meshName, meshConfigName: `${controlNamespace}/${meshConfigName}`, starting },
  );

  function summary(): Readonly<Record<string, number | 'not installed'>> {
    const states = all.map(({ reflector }) => reflector.status());
    return Object.fromEntries(
      states.map(({ resource, phase, objects }) => [resource, phase === 'absent' ? 'not installed' : objects]),
    );
  }

  async function publish(): Promise<void> {
    const locate: Locate = () => undefined;
    let last: ReturnType<typeof makeSnapshot> | undefined;
    while (!signal.aborted) {
      await bell.wait();
      if (signal.aborted) return;
      if (last === undefined ? !synced() : changed.size === 0) continue;
      if (last === undefined) log.info('the cluster was read', { kinds: summary() });
      const parts = new Set(changed);
      changed.clear();
      const next = makeSnapshot(parts);
      if (next.snapshot === last?.snapshot && next.problems === last.problems) continue;
      last = next;
      await onSnapshot(next.snapshot, next.problems, { locate });
    }
  }

  async function run(): Promise<void> {
    try {
      await publish();
    } finally {
      if (signal.aborted) await Promise.all(all.map(({ reflector }) => reflector.done));
    }
  }

  return {
    done: run(),
    pods: podDirectory,
    namespaces: namespaceDirectory,
    meshConfig: () => [...meshConfig.items.values()][0]?.value,
    findObject({ apiVersion = 'v1', kind, namespace, name }) {
      const found = all.find((followed) => followed.kind === kind)?.reflector.items.get(`${namespace}/${name}`);
      return found && { uid: found.uid, apiVersion };
    },
    status: () => all.map(({ reflector }) => reflector.status()),
  };
}

/** By what it holds at the time it is asked. */
function valuesOf<T>({ items }: Reflector<T>): Iterable<Kept<T>> {
  return { [Symbol.iterator]: () => items.values() };
}

/** Lets one loop sleep until something happens. All that happens in one turn of the event loop rings it once. */
function createBell(signal: AbortSignal): { ring(): void; wait(): Promise<void> } {
  let rung = false;
  let wake: (() => void) | undefined;
  const ring = (): void => {
    if (rung) return;
    rung = true;
    wake?.();
  };
  signal.addEventListener('abort', ring, { once: true });
  return {
    ring,
    async wait() {
      if (!rung && !signal.aborted) await new Promise<void>((resolve) => (wake = resolve));
      await new Promise((resolve) => setImmediate(resolve));
      rung = false;
      wake = undefined;
    },
  };
}
