import type { MeshConfig } from '../catalog/snapshot.ts';
import { toMeshFacts } from '../explain/mesh-facts.ts';
import type { ClusterAccess } from './cluster-access.ts';
import { readMeshSettings } from './cluster-settings.ts';
import type { CliContext } from './context.ts';
import type { InputFlags, MeshInput } from './mesh-input.ts';
import { toMeshConfig } from './mesh-config.ts';

/** Reads a mesh from a cluster by the rights of the user: its Services, its pods as they run, its policy. */
export async function readClusterMesh(
  context: CliContext,
  { cluster, controlNamespace, meshName }: ClusterAccess,
  flags: InputFlags,
): Promise<MeshInput> {
  const { formatMissing, readCluster } = await import('../provider/kubernetes/read-cluster.ts');
  const settings = await readMeshSettings({ cluster, controlNamespace });
  if (settings.note !== undefined) context.stderr.write(`tulle: ${settings.note}\n`);
  const namespaces = namespacesOf(flags);
  const { snapshot, problems, locate, objects, missing } = await readCluster(cluster, {
    meshName,
    controlNamespace,
    config: settings.config,
    ...(namespaces !== undefined && { namespaces }),
  });
  if (missing.length > 0) {
    const part =
      namespaces === undefined
        ? `namespace ${cluster.namespace}; -n says others`
        : `namespaces ${namespaces.join(', ')}`;
    context.stderr.write(
      `tulle: where you may not read the whole cluster, only ${part}: ${missing.map((each) => `you ${formatMissing(each)}`).join('; ')}\n`,
    );
  }
  // What the user asks for stands above what the cluster says of itself.
  const config: MeshConfig = toMeshConfig(flags, snapshot.config);
  const facts = toMeshFacts({ ...snapshot, config }, locate);
  return { read: { problems, locate, objects, files: new Map() }, facts };
}

/** `-n a,b`. */
export function namespacesOf({ namespace }: Pick<InputFlags, 'namespace'>): readonly string[] | undefined {
  const names = (namespace ?? '').split(',').filter((name) => name !== '');
  return names.length === 0 ? undefined : names;
}
