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

/** What a key is set to, and under which of its two names: ours wins where both are there. */
export function findMeshKey(
  texts: Readonly<Record<string, string>>,
  key: MeshKey,
): { readonly name: string; readonly value: string } | undefined {
  for (const name of [own + key, osm + key]) {
    const value = texts[name];
    if (value !== undefined) return { name, value };
  }
  return undefined;
}

/** Is it a key that the mesh has a meaning for, whatever it is? */
export function isOfMesh(key: string): boolean {
  return key.startsWith(own) || key.startsWith(osm);
}
