import { isJsonObject, type JsonObject } from '../smi/reader.ts';
import type { ClusterAccess } from './cluster-access.ts';
import { isAbsent } from './cluster-answers.ts';
import type { AppliedObject } from './cluster-objects.ts';
import { CliError } from './context.ts';
import type { NamespaceObject } from './namespace-state.ts';
import { pause } from './pause.ts';

/** On the namespaces of the demo: what has it may be removed. */
export const demoLabel = 'tulle.dev/demo';
export const demoImage = 'tulle-demo/bookstore:latest';

const goneMs = 90_000;

/** The namespaces are free, or are what an earlier run left. One of somebody else's is an answer. */
export async function prepareNamespaces(
  access: ClusterAccess,
  names: readonly string[],
  say: (line: string) => void,
  signal: AbortSignal,
): Promise<void> {
  for (const name of names) {
    const found = await find(access, name);
    if (found === undefined) continue;
    if (found.metadata.labels?.[demoLabel] === undefined)
      throw new CliError(
        `there is a namespace ${name} that is not the demo's: it would be overwritten; remove it first`,
        2,
      );
    if (found.metadata.deletionTimestamp !== undefined) {
      say(`waiting for namespace ${name} of an earlier run to go`);
      await untilGone(access, [found], signal);
    }
  }
}

/** Deletes them and waits for their end, so that the next demo finds none of this one. */
export async function removeNamespaces(
  access: ClusterAccess,
  names: readonly string[],
  say: (line: string) => void,
): Promise<void> {
  const left: NamespaceObject[] = [];
  for (const name of names) {
    const found = await find(access, name).catch(() => undefined);
    if (found?.metadata.labels?.[demoLabel] === undefined) continue;
    left.push(found);
    await access.cluster.request('DELETE', `/api/v1/namespaces/${name}`).catch(() => undefined);
  }
  if (left.length === 0) return;
  say(`removing namespaces ${left.map(({ metadata }) => metadata.name).join(', ')}`);
  if (!(await untilGone(access, left))) say('they are not gone yet: kubectl get namespaces');
}

/** One of the same name that somebody made meanwhile is another. */
async function untilGone(
  access: ClusterAccess,
  list: readonly NamespaceObject[],
  signal?: AbortSignal,
): Promise<boolean> {
  const end = Date.now() + goneMs;
  while (Date.now() < end && signal?.aborted !== true) {
    const found = await Promise.all(
      list.map(async ({ metadata }) => {
        const now = await find(access, metadata.name).catch(() => undefined);
        return now?.metadata.uid === metadata.uid ? now : undefined;
      }),
    );
    if (found.every((each) => each === undefined)) return true;
    await pause(500, signal);
  }
  return false;
}

async function find({ cluster }: ClusterAccess, name: string): Promise<NamespaceObject | undefined> {
  try {
    return await cluster.request<NamespaceObject>('GET', `/api/v1/namespaces/${name}`);
  } catch (error) {
    if (isAbsent(error)) return undefined;
    throw error;
  }
}

/** The same YAML as on this machine: its namespaces join the mesh and enforce, its images come from a registry. */
export function toClusterObject(object: AppliedObject, meshName: string, registry: string | undefined): AppliedObject {
  const { kind, metadata } = object;
  if (kind === 'Namespace') {
    const labels = {
      ...textsOf(metadata['labels']),
      [demoLabel]: 'true',
      'openservicemesh.io/monitored-by': meshName,
    };
    const annotations = {
      ...textsOf(metadata['annotations']),
      'openservicemesh.io/sidecar-injection': 'enabled',
      'tulle.dev/mode': 'enforce',
    };
    return { ...object, metadata: { ...metadata, labels, annotations } };
  }
  return registry === undefined ? object : (withRegistry(object, registry) as AppliedObject);
}

function textsOf(value: unknown): JsonObject {
  return isJsonObject(value) ? value : {};
}

/** Every `image` of a container. */
function withRegistry(value: unknown, registry: string): unknown {
  if (Array.isArray(value)) return value.map((each) => withRegistry(each, registry));
  if (!isJsonObject(value)) return value;
  return Object.fromEntries(
    Object.entries(value).map(([key, each]) =>
      key === 'image' && typeof each === 'string'
        ? [key, toImage(each, registry)]
        : [key, withRegistry(each, registry)],
    ),
  );
}

export function toImage(image: string, registry: string | undefined): string {
  return registry === undefined ? image : `${registry.replace(/\/+$/, '')}/${image}`;
}
