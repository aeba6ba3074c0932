import { isJsonObject, type JsonObject } from '../smi/reader.ts';
import type { ClusterAccess } from './cluster-access.ts';
import { CliError } from './context.ts';

/** An object to apply, as a user writes it. */
export type AppliedObject = JsonObject & {
  readonly apiVersion: string;
  readonly kind: string;
  readonly metadata: JsonObject & { readonly name: string; readonly namespace?: string };
};

/** Resources by their kinds, in the order in which they are applied: what others refer to comes first. */
const resources: Readonly<Record<string, string>> = {
  Namespace: 'namespaces',
  ServiceAccount: 'serviceaccounts',
  ConfigMap: 'configmaps',
  Service: 'services',
  HTTPRouteGroup: 'httproutegroups',
  TCPRoute: 'tcproutes',
  TrafficTarget: 'traffictargets',
  TrafficSplit: 'trafficsplits',
  Deployment: 'deployments',
  StatefulSet: 'statefulsets',
};

export function isApplicable(value: unknown): value is AppliedObject {
  if (!isJsonObject(value)) return false;
  const { apiVersion, kind, metadata } = value;
  return (
    typeof apiVersion === 'string' &&
    typeof kind === 'string' &&
    isJsonObject(metadata) &&
    typeof metadata['name'] === 'string'
  );
}

export function inOrder(objects: readonly AppliedObject[]): readonly AppliedObject[] {
  const order = Object.keys(resources);
  return [...objects].sort((a, b) => order.indexOf(a.kind) - order.indexOf(b.kind));
}

/** Server-side apply (`kubectl apply --server-side --force-conflicts`). */
export async function applyObject({ cluster }: Pick<ClusterAccess, 'cluster'>, object: AppliedObject): Promise<void> {
  const { apiVersion, kind, metadata } = object;
  const resource = resources[kind];
  if (resource === undefined)
    throw new CliError(`${kind} ${metadata.name}: the demo can't apply objects of this kind`, 2);
  const group = apiVersion.includes('/') ? `/apis/${apiVersion}` : `/api/${apiVersion}`;
  const place = kind === 'Namespace' ? '' : `/namespaces/${metadata.namespace ?? 'default'}`;
  await cluster.request('PATCH', `${group}${place}/${resource}/${metadata.name}`, {
    contentType: 'application/apply-patch+yaml',
    query: { fieldManager: 'tulle', force: true },
    body: object,
  });
}
