import type { Locate, MeshConfig, MeshSnapshot } from '../../catalog/snapshot.ts';
import { systemClock } from '../../certs/clock.ts';
import type { Problem } from '../../problem/problem.ts';
import type { Cluster } from './cluster.ts';
import { ClusterError, isNotFound } from './cluster-error.ts';
import { createClusterSnapshots } from './cluster-snapshot.ts';
import { createDiscovery } from './discovery.ts';
import { listPages, nameOf } from './list-pages.ts';
import type { Kept, ReflectedResource, ResourcePath } from './reflected.ts';
import { createClusterResources, inNamespace } from './resources.ts';

/** Its name wherever the chart installs it; OSM's, so that who comes from there finds it. */
const meshConfigName = 'osm-mesh-config';

export interface ReadClusterOptions {
  readonly meshName: string;
  readonly controlNamespace: string;
  /** Read alone where the user may not read all of the cluster; that of the context when absent. */
  readonly namespaces?: readonly string[];
  /** What the installation says; MeshConfig and namespaces have the last word. */
  readonly config: MeshConfig;
}

/** What the user may not read: the answers that build on it are about a part of the mesh. */
export interface MissingPermission {
  readonly verb: 'list' | 'get';
  /** `pods`, `trafficsplits.split.smi-spec.io`. */
  readonly resource: string;
  /** Absent: of the whole cluster; the namespaces that were asked for were read. */
  readonly namespace?: string;
}

/** What a cluster says, at one moment, to one user. */
export interface ClusterRead {
  readonly snapshot: MeshSnapshot;
  readonly problems: readonly Problem[];
  /** There are no files. */
  readonly locate: Locate;
  /** How many objects were read. */
  readonly objects: number;
  readonly missing: readonly MissingPermission[];
}

/** `may not list pods of the whole cluster (kubectl auth can-i list pods -A)` */
export function formatMissing({ verb, resource, namespace }: MissingPermission): string {
  const [where, flag] =
    namespace === undefined ? ['of the whole cluster', '-A'] : [`in ${namespace}`, `-n ${namespace}`];
  return `may not ${verb} ${resource} ${where} (kubectl auth can-i ${verb} ${resource} ${flag})`;
}

/**
 * Reads a cluster once, as the user that it is spoken to as. What may not be read of the whole cluster is read of the
 * namespaces given, and `missing` says so. A ClusterError (403): nothing that a mesh is made of may be read.
 */
export async function readCluster(cluster: Cluster, options: ReadClusterOptions): Promise<ClusterRead> {
  const { meshName, controlNamespace, config } = options;
  const wanted = options.namespaces ?? [cluster.namespace];
  const missing: MissingPermission[] = [];
  const find = createDiscovery(cluster, systemClock);
  const resources = createClusterResources({ meshName, controlNamespace, meshConfig: meshConfigName }, find);
  let objects = 0;

  async function list<T>(resource: ReflectedResource<T>, at: ResourcePath): Promise<Kept<T>[]> {
    const kept: Kept<T>[] = [];
    for await (const { items } of listPages(cluster, at.path, { query: resource.query })) {
      objects += items.length;
      for (const raw of items) {
        const known = nameOf(raw);
        const value = known && resource.trim(known.object, at);
        if (known && value !== undefined) {
          kept.push({ namespace: known.namespace, name: known.name, uid: known.uid, value });
        }
      }
    }
    return kept;
  }

  /** Undefined: it is refused, and told. */
  async function permitted<T>(read: () => Promise<T>, permission: MissingPermission): Promise<T | undefined> {
    try {
      return await read();
    } catch (error) {
      if (!(error instanceof ClusterError) || error.status !== 403) throw error;
      missing.push(permission);
      return undefined;
    }
  }

  async function read<T>(resource: ReflectedResource<T>, needed: boolean): Promise<Kept<T>[]> {
    const at = await resource.locate();
    if (at === undefined) return [];
    const { name } = resource;
    const all = await permitted(() => list(resource, at), { verb: 'list', resource: name });
    if (all !== undefined) return all;
    const some = await Promise.all(
      wanted.map((namespace) =>
        permitted(() => list(resource, inNamespace(at, namespace) ?? at), { verb: 'list', resource: name, namespace }),
      ),
    );
    if (needed && some.every((found) => found === undefined)) throw refused(cluster, missing);
    return some.flatMap((found) => found ?? []);
  }

  async function readNamespaces(): Promise<Kept<Value<typeof resources.namespaces>>[]> {
    const resource = resources.namespaces;
    const at = await resource.locate();
    if (at === undefined) return [];
    const all = await permitted(() => list(resource, at), { verb: 'list', resource: 'namespaces' });
    if (all !== undefined) return all;
    const some = await Promise.all(
      wanted.map(async (namespace) => {
        const path = `${at.path}/${encodeURIComponent(namespace)}`;
        const raw = await permitted(() => cluster.request<unknown>('GET', path), {
          verb: 'get',
          resource: 'namespaces',
          namespace,
        });
        objects += 1;
        // Whether it is meshed can't be told then; who asks about it has a reason to.
        const known = nameOf(raw ?? { metadata: { name: namespace, labels: { 'tulle.dev/monitored-by': meshName } } });
        const value = known && resource.trim(known.object, at);
        return known && value ? [{ namespace: '', name: known.name, uid: known.uid, value }] : [];
      }),
    );
    return some.flat();
  }

  async function readMeshConfig(): Promise<Kept<Value<typeof resources.meshConfig>>[]> {
    const resource = resources.meshConfig;
    const at = await resource.locate();
    if (at === undefined) return [];
    const permission = { verb: 'list', resource: resource.name, namespace: controlNamespace } as const;
    return (await permitted(() => list(resource, at), permission)) ?? [];
  }

  const [namespaces, services, endpointSlices, pods, meshConfig, smi, osmPolicies] = await Promise.all([
    readNamespaces(),
    read(resources.services, true),
    read(resources.endpointSlices, true),
    read(resources.pods, true),
    readMeshConfig(),
    Promise.all(resources.smi.map((resource) => read(resource, true))),
    Promise.all(resources.osmPolicies.map((resource) => read(resource, false))),
  ]).catch((error: unknown) => {
    // A namespace that doesn't exist, rather than a kind: those are looked for before.
    throw isNotFound(error) ? new ClusterError(404, 'NotFound', (error as Error).message, { cause: error }) : error;
  });
  const state = { namespaces, services, endpointSlices, pods, meshConfig, smi, osmPolicies };
  const { snapshot, problems } = createClusterSnapshots(state, {
    ...{ installed: config, meshName },
    meshConfigName: `${controlNamespace}/${meshConfigName}`,
  })(new Set());
  return { snapshot, problems, locate: () => undefined, objects, missing };
}

type Value<R> = R extends ReflectedResource<infer T> ? T : never;

function refused(cluster: Cluster, missing: readonly MissingPermission[]): ClusterError {
  const list = missing.map(formatMissing).join('; ');
  return new ClusterError(403, 'Forbidden', `${cluster.server}: this user ${list}`);
}
