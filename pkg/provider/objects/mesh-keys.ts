/** Labels and annotations that Open Service Mesh defined; each has an alias of ours with the same suffix (DECISIONS S13). */
export type MeshKey =
  | 'monitored-by'
  | 'ignore'
  | 'sidecar-injection'
  | 'metrics'
  | 'outbound-port-exclusion-list'
  | 'inbound-port-exclusion-list'
  | 'outbound-ip-range-exclusion-list'
  | 'outbound-ip-range-inclusion-list';

const own = 'tulle.dev/';
const osm = 'openservicemesh.io/';

/** On a namespace, or the MeshConfig: `permissive`, `shadow`, `enforce`. */
export const modeKey = 'tulle.dev/mode';
/** Set by the injection on what it has given a sidecar: its own version. */
export const injectedKey = 'tulle.dev/injected';
/** `enabled`: set by the injection on a pod whose app waits at a gate (record 0010); `disabled`: keeps it from doing so. */
export const fastStartKey = 'tulle.dev/fast-start';

export interface FoundKey {
  readonly key: string;
  readonly value: string;
}

/** What a key is set to, and under which of its two names: ours wins where both are there. */
export function findMeshKey(
  texts: Readonly<Record<string, string>> | undefined,
  suffix: MeshKey,
): FoundKey | undefined {
  for (const key of [own + suffix, osm + suffix]) {
    const value = texts?.[key];
    if (value !== undefined) return { key, value };
  }
  return undefined;
}

/** Is it a key that the mesh has a meaning for, whatever it is? */
export function isOfMesh(key: string): boolean {
  return key.startsWith(own) || key.startsWith(osm);
}
