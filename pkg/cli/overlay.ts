import type { MeshSnapshot, Pod, Service } from '../catalog/snapshot.ts';
import { toMeshFacts } from '../explain/mesh-facts.ts';
import type { MeshInput } from './mesh-input.ts';

/**
 * A mesh as it would be when files were applied to it: their objects take the place of those with their names, and the
 * rest stays. Services keep the addresses that they have. Workloads that are not there yet come with the pods that they
 * would have; those that are there stay as they run.
 */
export function overlay(now: MeshInput, files: MeshInput): MeshInput {
  const current = now.facts.snapshot;
  const next = files.facts.snapshot;
  const locate: MeshInput['read']['locate'] = (resource, field) =>
    files.read.locate(resource, field) ?? now.read.locate(resource, field);
  const snapshot: MeshSnapshot = {
    ...current,
    // The settings of the files were made from those of the mesh, and from the flags.
    config: next.config,
    namespaces: replace(
      current.namespaces,
      next.namespaces,
      ({ name }) => name,
      (old, given) => ({
        ...old,
        ...(given.mode !== undefined && { mode: given.mode }),
      }),
    ),
    services: replace(current.services, next.services, idOf, keepAddresses),
    pods: [...current.pods, ...newPods(current.pods, next.pods)],
    endpointSlices: replace(current.endpointSlices, next.endpointSlices, idOf),
    smi: replace(current.smi, next.smi, ({ kind, metadata: { namespace, name } }) => `${kind} ${namespace}/${name}`),
  };
  return { read: { ...files.read, locate }, facts: toMeshFacts(snapshot, locate), before: now };
}

function idOf({ namespace, name }: { readonly namespace: string; readonly name: string }): string {
  return `${namespace}/${name}`;
}

function replace<T>(
  current: readonly T[],
  given: readonly T[],
  keyOf: (each: T) => string,
  join: (old: T, given: T) => T = (_, each) => each,
): readonly T[] {
  const byKey = new Map(given.map((each) => [keyOf(each), each]));
  const known = new Set(current.map(keyOf));
  const kept = current.map((old) => {
    const each = byKey.get(keyOf(old));
    return each === undefined ? old : join(old, each);
  });
  return [...kept, ...given.filter((each) => !known.has(keyOf(each)))];
}

function keepAddresses(old: Service, given: Service): Service {
  return old.headless === given.headless ? { ...given, clusterIPs: old.clusterIPs } : given;
}

/** Those of accounts that nothing runs as. */
function newPods(current: readonly Pod[], planned: readonly Pod[]): readonly Pod[] {
  const running = new Set(current.map(({ namespace, serviceAccount }) => `${namespace}/${serviceAccount}`));
  return planned.filter(({ namespace, serviceAccount }) => !running.has(`${namespace}/${serviceAccount}`));
}
