import type { Clock } from '../../certs/clock.ts';
import type { Cluster } from './cluster.ts';
import { isNotFound } from './cluster-error.ts';
import { namespacesWithSidecars } from './cluster-snapshot.ts';
import type { Change, Kept, Reflector } from './reflected.ts';
import { type KeptNamespace, type KeptPod, toKeptPod, toRawObject } from './resources.ts';

export interface PodIdentity {
  readonly uid: string;
  readonly ips: readonly string[];
  readonly serviceAccount: string;
  /** It is being deleted: it may end what it has begun. */
  readonly deleting: boolean;
  /** It is followed, is on a node, and has an app that waits at a gate for its sidecar (record 0010). */
  readonly startsFast: boolean;
}

export interface RemovedPod {
  readonly namespace: string;
  readonly name: string;
  readonly uid: string;
}

/** A pod whose addresses were told for the first time. */
export interface StartedPod extends RemovedPod {
  readonly ips: readonly string[];
}

/** The living pods of a cluster: one whose containers have ended is none. */
export interface PodDirectory {
  find(namespace: string, name: string): PodIdentity | undefined;
  /** Asks the API server about a pod that may be too new to be known; a few times a second at most. */
  lookUp(namespace: string, name: string): Promise<PodIdentity | undefined>;
  /** Names of the namespaces with living pods that have a sidecar of this mesh, meshed or no longer. */
  namespaces(): ReadonlySet<string>;
  /** Tells when a pod is gone, or another has its name. The returned function ends that. */
  subscribe(onRemoved: (pod: RemovedPod) => void): () => void;
  /** Tells when the addresses of a pod are told, for the first time. The returned function ends that. */
  onAddress(listener: (pod: StartedPod) => void): () => void;
  /** Whose address it is, among the pods that are followed and their nodes: `pod shop/web-0`, `the node of pod shop/web-0`. */
  whose(isIt: (address: string) => boolean): string | undefined;
}

export interface NamespaceEntry {
  readonly name: string;
  readonly labels: Readonly<Record<string, string>>;
  /** Those of the mesh alone: `tulle.dev/…`, `openservicemesh.io/…`. */
  readonly annotations: Readonly<Record<string, string>>;
  readonly meshed: boolean;
}

export interface NamespaceDirectory {
  find(name: string): NamespaceEntry | undefined;
  /** Names of all that are meshed. */
  meshed(): readonly string[];
  /** Tells when one came, went or was labelled otherwise. The returned function ends that. */
  subscribe(onChange: () => void): () => void;
}

export interface PodDirectoryFeed extends PodDirectory {
  note(changes: readonly Change<KeptPod>[]): void;
}

/** Milliseconds that an answer stands: who shows the token of a dead pod again and again is no burden to the API server. */
const lookUpMs = 250;

export function createPodDirectory(
  cluster: Pick<Cluster, 'request'>,
  pods: () => Reflector<KeptPod>['items'],
  signal: AbortSignal,
  clock: Pick<Clock, 'at' | 'now'>,
  meshName: string,
): PodDirectoryFeed {
  const listeners = new Set<(pod: RemovedPod) => void>();
  const addressed = new Set<(pod: StartedPod) => void>();
  const asked = new Map<string, Promise<PodIdentity | undefined>>();

  async function ask(namespace: string, name: string): Promise<PodIdentity | undefined> {
    const path = `/api/v1/namespaces/${encodeURIComponent(namespace)}/pods/${encodeURIComponent(name)}`;
    try {
      const raw = await cluster.request<Record<string, unknown>>('GET', path, { signal, timeoutMs: 10_000 });
      const uid = (raw['metadata'] as { uid?: unknown } | undefined)?.uid;
      if (typeof uid !== 'string') return undefined;
      const value = toKeptPod(toRawObject(raw, { path, apiVersion: 'v1', kind: 'Pod' }));
      const found = toIdentity({ namespace, name, uid, value });
      // Nobody would be told of its end.
      return found && { ...found, startsFast: false };
    } catch (error) {
      if (isNotFound(error)) return undefined;
      throw error;
    }
  }

  return {
    find: (namespace, name) => toIdentity(pods().get(`${namespace}/${name}`)),
    lookUp(namespace, name) {
      const key = `${namespace}/${name}`;
      const before = asked.get(key);
      if (before) return before;
      const answer = ask(namespace, name).finally(() => {
        clock.at(clock.now() + lookUpMs, () => asked.delete(key));
      });
      asked.set(key, answer);
      return answer;
    },
    namespaces: () => namespacesWithSidecars(pods().values(), meshName),
    subscribe(onRemoved) {
      listeners.add(onRemoved);
      return () => listeners.delete(onRemoved);
    },
    onAddress(listener) {
      addressed.add(listener);
      return () => addressed.delete(listener);
    },
    whose(isIt) {
      for (const { namespace, name, value } of pods().values()) {
        if (value.ended) continue;
        if (value.ips.some(isIt)) return `pod ${namespace}/${name}`;
        if (value.hostIps.some(isIt)) return `the node of pod ${namespace}/${name}`;
      }
      return undefined;
    },
    note(changes) {
      for (const { before, after } of changes) {
        const knew = before?.uid === after?.uid ? before?.value.ips : undefined;
        if (after && after.value.ips.length > 0 && (knew ?? []).length === 0) {
          const { namespace, name, uid, value } = after;
          for (const listener of addressed) listener({ namespace, name, uid, ips: value.ips });
        }
        if (before === undefined || before.value.ended) continue;
        const lives = after !== undefined && after.uid === before.uid && !after.value.ended;
        if (lives) continue;
        const { namespace, name, uid } = before;
        for (const listener of listeners) listener({ namespace, name, uid });
      }
    },
  };
}

function toIdentity(kept: Kept<KeptPod> | undefined): PodIdentity | undefined {
  if (kept === undefined || kept.value.ended) return undefined;
  const { pod, ips, deleting, startsFast } = kept.value;
  return { uid: kept.uid, ips, serviceAccount: pod.serviceAccount, deleting, startsFast };
}

export interface NamespaceDirectoryFeed extends NamespaceDirectory {
  note(): void;
}

export function createNamespaceDirectory(namespaces: () => Reflector<KeptNamespace>['items']): NamespaceDirectoryFeed {
  const listeners = new Set<() => void>();
  return {
    find(name) {
      const kept = namespaces().get(`/${name}`)?.value;
      return kept && { name, labels: kept.labels, annotations: kept.annotations, meshed: kept.value.meshed };
    },
    meshed: () => [...namespaces().values()].flatMap(({ name, value }) => (value.value.meshed ? [name] : [])),
    subscribe(onChange) {
      listeners.add(onChange);
      return () => listeners.delete(onChange);
    },
    note() {
      for (const listener of listeners) listener();
    },
  };
}
