import { applyObject } from '../../provider/kubernetes/apply-object.ts';
import type { Cluster } from '../../provider/kubernetes/cluster.ts';
import { isNotFound } from '../../provider/kubernetes/cluster-error.ts';

/**
 * Makes an empty MeshConfig where there is none, for `kubectl patch` to have something to patch: what it doesn't say, the
 * chart's values say. One that is there is never touched, and none is made
 * where the kind itself is not installed (yet).
 */
export async function ensureMeshConfig(
  cluster: Cluster,
  { namespace, name }: { readonly namespace: string; readonly name: string },
  signal: AbortSignal,
): Promise<'made' | 'there' | 'unknown'> {
  const apiVersion = 'config.openservicemesh.io/v1alpha2';
  const path = `/apis/${apiVersion}/namespaces/${namespace}/meshconfigs/${name}`;
  try {
    await cluster.request('GET', path, { signal, timeoutMs: 10_000 });
    return 'there';
  } catch (error) {
    if (!isNotFound(error)) throw error;
  }
  try {
    const metadata = { name, namespace };
    await applyObject(cluster, path, { apiVersion, kind: 'MeshConfig', metadata, spec: {} }, signal);
    return 'made';
  } catch (error) {
    if (!isNotFound(error)) throw error;
    return 'unknown';
  }
}
