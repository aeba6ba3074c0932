import { parseAllDocuments } from 'yaml';
import type { KubernetesApi, KubernetesObject } from './kubernetes-api.ts';

/** Where the objects of a kind are; a kind that is missing here is one line more. */
const plurals: Readonly<Record<string, string>> = {
  Namespace: 'namespaces',
  MeshConfig: 'meshconfigs',
  CustomResourceDefinition: 'customresourcedefinitions',
  MutatingWebhookConfiguration: 'mutatingwebhookconfigurations',
  ValidatingWebhookConfiguration: 'validatingwebhookconfigurations',
  PersistentVolume: 'persistentvolumes',
  Endpoints: 'endpoints',
  Ingress: 'ingresses',
  NetworkPolicy: 'networkpolicies',
};
const clusterWide = new Set([
  'Namespace',
  'PersistentVolume',
  'CustomResourceDefinition',
  'ClusterRole',
  'ClusterRoleBinding',
  'MutatingWebhookConfiguration',
  'ValidatingWebhookConfiguration',
]);

/** The path of a kind's objects, or of the one with that name. */
export function pathOf(apiVersion: string, kind: string, namespace?: string, name?: string): string {
  const group = apiVersion.includes('/') ? `/apis/${apiVersion}` : `/api/${apiVersion}`;
  const where = clusterWide.has(kind) || namespace === undefined ? '' : `/namespaces/${namespace}`;
  const plural = plurals[kind] ?? `${kind.toLowerCase()}s`;
  return `${group}${where}/${plural}${name === undefined ? '' : `/${name}`}`;
}

function objectPath(object: KubernetesObject): string {
  const { name, namespace = 'default' } = object.metadata;
  return pathOf(object.apiVersion, object.kind, namespace, name);
}

export function parseObjects(yaml: string): KubernetesObject[] {
  return parseAllDocuments(yaml).flatMap((document) => {
    const object = document.toJS() as KubernetesObject | null;
    return object === null ? [] : [object];
  });
}

/** Server-side apply, in order: namespaces first, as the text has them. */
export async function applyObjects(api: KubernetesApi, objects: readonly KubernetesObject[]): Promise<void> {
  const [early, late] = [
    objects.filter(({ kind }) => kind === 'Namespace'),
    objects.filter(({ kind }) => kind !== 'Namespace'),
  ];
  for (const object of early) await applyObject(api, object);
  // The service accounts that pods name must be there before a controller makes them.
  for (const object of late.filter(({ kind }) => kind === 'ServiceAccount')) await applyObject(api, object);
  await Promise.all(late.filter(({ kind }) => kind !== 'ServiceAccount').map((object) => applyObject(api, object)));
}

export async function applyObject(api: KubernetesApi, object: KubernetesObject): Promise<KubernetesObject> {
  const path = `${objectPath(object)}?fieldManager=tulle-e2e&force=true`;
  return api.call('PATCH', path, JSON.stringify(object), 'application/apply-patch+yaml');
}

export async function deleteObject(api: KubernetesApi, object: KubernetesObject): Promise<void> {
  await deletePath(api, objectPath(object));
}

export async function deletePath(api: KubernetesApi, path: string): Promise<void> {
  const { status, body } = await api.send('DELETE', path, { propagationPolicy: 'Background' });
  if (status >= 300 && status !== 404) throw new Error(`DELETE ${path}: ${status} ${body.slice(0, 300)}`);
}

/** Asks until `probe` gives something, at most for `seconds`; throws with `what` and the last reason. */
export async function until<T>(
  what: string,
  seconds: number,
  probe: () => Promise<T | undefined | false>,
  everyMs = 150,
): Promise<T> {
  const end = Date.now() + seconds * 1000;
  let last = 'nothing';
  for (;;) {
    try {
      const value = await probe();
      if (value !== undefined && value !== false) return value;
      last = 'not yet';
    } catch (error) {
      last = (error as Error).message;
    }
    if (Date.now() > end) throw new Error(`${what}: not within ${seconds} s (${last})`);
    await new Promise((resolve) => setTimeout(resolve, everyMs));
  }
}

export function isReady({ status }: KubernetesObject): boolean {
  return (status?.conditions ?? []).some(({ type, status }) => type === 'Ready' && status === 'True');
}

/** The pods of a selector that are not on their way out. */
export async function podsOf(api: KubernetesApi, namespace: string, selector = ''): Promise<KubernetesObject[]> {
  const query = selector === '' ? '' : `?labelSelector=${encodeURIComponent(selector)}`;
  const pods = await api.list(`/api/v1/namespaces/${namespace}/pods${query}`);
  return pods.filter(({ metadata }) => metadata.deletionTimestamp === undefined);
}

/** Waits for a Deployment or StatefulSet to have all its replicas new and ready, and the old ones gone. */
export async function rolledOut(
  api: KubernetesApi,
  kind: 'Deployment' | 'StatefulSet',
  namespace: string,
  name: string,
  seconds = 90,
): Promise<void> {
  await until(`${kind} ${namespace}/${name} rolled out`, seconds, async () => {
    const { spec = {}, status = {}, metadata } = await api.get(pathOf('apps/v1', kind, namespace, name));
    if ((status.observedGeneration ?? 0) < (metadata.generation ?? 0)) return false;
    const wanted = spec.replicas ?? 1;
    // A StatefulSet counts as updated only what a change of it replaced.
    const isNew =
      kind === 'StatefulSet' && status.updateRevision === status.currentRevision
        ? true
        : status.updatedReplicas === wanted;
    return isNew && status.readyReplicas === wanted && status.replicas === wanted;
  });
}

/** What `kubectl rollout restart` does. */
export async function restart(
  api: KubernetesApi,
  kind: 'Deployment' | 'StatefulSet',
  namespace: string,
  name: string,
): Promise<void> {
  const annotations = { 'kubectl.kubernetes.io/restartedAt': new Date().toISOString() };
  await api.call(
    'PATCH',
    pathOf('apps/v1', kind, namespace, name),
    { spec: { template: { metadata: { annotations } } } },
    'application/strategic-merge-patch+json',
  );
}

export async function removeNamespaces(api: KubernetesApi, names: readonly string[], seconds = 90): Promise<void> {
  await Promise.all(names.map((name) => deletePath(api, `/api/v1/namespaces/${name}`)));
  await until(`namespaces ${names.join(', ')} gone`, seconds, async () => {
    const found = await Promise.all(names.map((name) => api.find(`/api/v1/namespaces/${name}`)));
    return found.every((namespace) => namespace === undefined);
  });
}
