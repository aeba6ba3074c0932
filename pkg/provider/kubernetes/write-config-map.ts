import { applyObject, type WrittenObject } from './apply-object.ts';
import type { Cluster } from './cluster.ts';
import { isNotFound } from './cluster-error.ts';

export interface ConfigMapContent {
  readonly namespace: string;
  readonly name: string;
  readonly labels: Readonly<Record<string, string>>;
  readonly data: Readonly<Record<string, string>>;
}

export interface ConfigMapState extends WrittenObject {
  readonly metadata: WrittenObject['metadata'] & { readonly labels?: Readonly<Record<string, string>> };
  readonly data?: Readonly<Record<string, string>>;
}

const pathOf = (namespace: string, name: string): string =>
  `/api/v1/namespaces/${encodeURIComponent(namespace)}/configmaps/${encodeURIComponent(name)}`;

/** Makes the ConfigMap say this, whether it is there or not; keys of others are left alone. */
export async function applyConfigMap(
  cluster: Cluster,
  { namespace, name, labels, data }: ConfigMapContent,
  signal?: AbortSignal,
): Promise<ConfigMapState> {
  const body = { apiVersion: 'v1', kind: 'ConfigMap', metadata: { name, namespace, labels }, data };
  return applyObject<ConfigMapState>(cluster, pathOf(namespace, name), body, signal);
}

/** Deletes the one with this uid; one that is gone, or that another has taken the place of, is left alone. */
export async function deleteConfigMap(
  cluster: Cluster,
  { namespace, name, uid }: { readonly namespace: string; readonly name: string; readonly uid: string },
  signal?: AbortSignal,
): Promise<void> {
  try {
    await cluster.request('DELETE', pathOf(namespace, name), {
      body: { apiVersion: 'v1', kind: 'DeleteOptions', preconditions: { uid } },
      timeoutMs: 10_000,
      ...(signal ? { signal } : {}),
    });
  } catch (error) {
    if (!isNotFound(error) && (error as { status?: number }).status !== 409) throw error;
  }
}
