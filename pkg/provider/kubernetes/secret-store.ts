import { type CertStore, StoreConflict } from '../../certs/store.ts';
import { applyObject, fieldManager, type WrittenObject } from './apply-object.ts';
import type { Cluster } from './cluster.ts';
import { ClusterError, isNotFound } from './cluster-error.ts';

interface Secret extends WrittenObject {
  readonly data?: Readonly<Record<string, string>> | null;
}

export interface SecretStoreOptions {
  readonly cluster: Cluster;
  readonly namespace: string;
  readonly name: string;
}

const requestMs = 10_000;

/**
 * Keeps things as the keys of one Secret. A write rests on what was read last: when the Secret has changed since, it is
 * a StoreConflict and nothing is written. A Secret that isn't there is made, empty, by the first write: of two that do so
 * at once one gets to fill it.
 */
export function createSecretStore({ cluster, namespace, name }: SecretStoreOptions): CertStore {
  const path = `/api/v1/namespaces/${encodeURIComponent(namespace)}/secrets/${encodeURIComponent(name)}`;
  let version: string | undefined;

  async function get(): Promise<Secret | undefined> {
    try {
      const secret = await cluster.request<Secret>('GET', path, { timeoutMs: requestMs });
      version = secret.metadata.resourceVersion;
      return secret;
    } catch (error) {
      if (!isNotFound(error)) throw error;
      version = undefined;
      return undefined;
    }
  }

  /** What was there before is no reason to overwrite it: only an empty one rests on nothing. */
  async function make(key: string): Promise<void> {
    const labels = { 'app.kubernetes.io/managed-by': fieldManager };
    const body = { apiVersion: 'v1', kind: 'Secret', type: 'Opaque', metadata: { name, namespace, labels } };
    const made = await applyObject<Secret>(cluster, path, body);
    if (made.data?.[key] !== undefined) throw new StoreConflict(`Secret ${namespace}/${name} was made by another`);
    version = made.metadata.resourceVersion;
  }

  async function change(key: string, value: string | null): Promise<void> {
    if (version === undefined) await make(key);
    try {
      const body = { metadata: { resourceVersion: version }, data: { [key]: value } };
      const query = { fieldManager };
      const contentType = 'application/merge-patch+json';
      const secret = await cluster.request<Secret>('PATCH', path, { query, contentType, body, timeoutMs: requestMs });
      version = secret.metadata.resourceVersion;
    } catch (error) {
      if (error instanceof ClusterError && (error.status === 409 || error.status === 404)) {
        version = undefined;
        throw new StoreConflict(`Secret ${namespace}/${name} was changed by another`, { cause: error });
      }
      throw error;
    }
  }

  return {
    async read(key) {
      const value = (await get())?.data?.[toKey(key)];
      return value === undefined ? undefined : Buffer.from(value, 'base64');
    },
    async write(key, bytes) {
      await change(toKey(key), Buffer.from(bytes).toString('base64'));
    },
    async remove(key) {
      if ((await get())?.data?.[toKey(key)] !== undefined) await change(toKey(key), null);
    },
    async list(prefix) {
      const names = Object.keys((await get())?.data ?? {});
      return names.filter((key) => key.startsWith(prefix)).sort();
    },
  };
}

/** All keys of a Secret that others keep, decoded. */
export async function readSecret({ cluster, namespace, name }: SecretStoreOptions): Promise<Record<string, string>> {
  const path = `/api/v1/namespaces/${encodeURIComponent(namespace)}/secrets/${encodeURIComponent(name)}`;
  const { data } = await cluster.request<Secret>('GET', path, { timeoutMs: requestMs });
  const entries = Object.entries(data ?? {});
  return Object.fromEntries(entries.map(([key, value]) => [key, Buffer.from(value, 'base64').toString('utf8')]));
}

function toKey(name: string): string {
  if (!/^[A-Za-z0-9][A-Za-z0-9.-]*$/.test(name)) throw new Error(`not a key of a Secret: ${JSON.stringify(name)}`);
  return name;
}
