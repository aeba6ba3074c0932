import type { MeshConfig } from '../catalog/snapshot.ts';
import { toMeshFacts } from '../explain/mesh-facts.ts';
import type { MissingPermission } from '../provider/kubernetes/read-cluster.ts';
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
  for (const line of describeMissing(missing, namespaces ?? [cluster.namespace], formatMissing))
    context.stderr.write(`tulle: ${line}\n`);
  // What the user asks for stands above what the cluster says of itself.
  const config: MeshConfig = toMeshConfig(flags, snapshot.config);
  const facts = toMeshFacts({ ...snapshot, config }, locate);
  return { read: { problems, locate, objects, files: new Map() }, facts };
}

/** Whoever may not read something may do so of all kinds: told once. */
function describeMissing(
  missing: readonly MissingPermission[],
  namespaces: readonly string[],
  format: (each: MissingPermission) => string,
): readonly string[] {
  const wide = missing.filter(({ namespace }) => namespace === undefined);
  const [first, ...others] = missing.filter(({ namespace }) => namespace !== undefined);
  const names = `${namespaces.length === 1 ? 'namespace' : 'namespaces'} ${namespaces.join(', ')}`;
  return [
    ...(wide.length > 0
      ? [
          `you may not read the whole cluster, so only ${names} ${namespaces.length === 1 ? 'was' : 'were'} looked at (-n says which)`,
        ]
      : []),
    ...(first ? [`you ${format(first)}${others.length > 0 ? `, nor ${others.length} kinds more` : ''}`] : []),
  ];
}

/** `-n a,b`. */
export function namespacesOf({ namespace }: Pick<InputFlags, 'namespace'>): readonly string[] | undefined {
  const names = (namespace ?? '').split(',').filter((name) => name !== '');
  return names.length === 0 ? undefined : names;
}
