import { applyObject } from '../../provider/kubernetes/apply-object.ts';
import type { Cluster } from '../../provider/kubernetes/cluster.ts';
import { ClusterError, isNotFound } from '../../provider/kubernetes/cluster-error.ts';

/** `refused`: the schema of whoever installed the kind asks for more than we know of. */
export type EnsuredMeshConfig =
  { readonly state: 'made' | 'there' | 'unknown' } | { readonly state: 'refused'; readonly reason: string };

/**
 * Makes an empty MeshConfig where there is none, for `kubectl patch` to have something to patch: what it doesn't say, the
 * chart's values say. One that is there is never touched, and none is made where the kind itself is not installed (yet).
 * The CRD of OSM v1.2.4 takes an empty one as well as ours does.
 */
export async function ensureMeshConfig(
  cluster: Cluster,
  { namespace, name }: { readonly namespace: string; readonly name: string },
  signal: AbortSignal,
): Promise<EnsuredMeshConfig> {
  const apiVersion = 'config.openservicemesh.io/v1alpha2';
  const path = `/apis/${apiVersion}/namespaces/${namespace}/meshconfigs/${name}`;
  try {
    await cluster.request('GET', path, { signal, timeoutMs: 10_000 });
    return { state: 'there' };
  } catch (error) {
    if (!isNotFound(error)) throw error;
  }
  try {
    const metadata = { name, namespace };
    await applyObject(cluster, path, { apiVersion, kind: 'MeshConfig', metadata, spec: {} }, signal);
    return { state: 'made' };
  } catch (error) {
    if (error instanceof ClusterError && (error.status === 422 || error.status === 400)) {
      return { state: 'refused', reason: error.message };
    }
    if (!isNotFound(error)) throw error;
    return { state: 'unknown' };
  }
}
