import { readdirSync, readFileSync } from 'node:fs';
import { join } from 'node:path';
import type { KubernetesApi, KubernetesObject } from '../support/kubernetes-api.ts';
import { parseObjects, pathOf } from '../support/kubernetes-objects.ts';

export const bookstoreNamespaces = ['bookbuyer', 'bookthief', 'bookstore', 'bookwarehouse'] as const;

/** The demo's own manifests, with its namespaces in the mesh. */
export function bookstoreObjects(mesh = 'osm'): KubernetesObject[] {
  const folder = join(import.meta.dirname, '../../demo/bookstore/mesh');
  return readdirSync(folder)
    .flatMap((file) => parseObjects(readFileSync(join(folder, file), 'utf8')))
    .map((object) => (object.kind === 'Namespace' ? inMesh(object, mesh) : object));
}

/** OSM's documented manifests as their users have them, in the order of its guide. */
export function osmObjects(file: string): KubernetesObject[] {
  return parseObjects(readFileSync(join(import.meta.dirname, 'osm-bookstore', file), 'utf8'));
}

export function inMesh(namespace: KubernetesObject, mesh = 'osm'): KubernetesObject {
  const { metadata } = namespace;
  const labels = { ...metadata.labels, 'tulle-e2e': 'yes', 'openservicemesh.io/monitored-by': mesh };
  return { ...namespace, metadata: { ...metadata, labels } };
}

export async function setWeights(
  api: KubernetesApi,
  split: { readonly apiVersion: string; readonly name: string },
  weights: Readonly<Record<string, number>>,
): Promise<void> {
  const path = pathOf(split.apiVersion, 'TrafficSplit', 'bookstore', split.name);
  const backends = Object.entries(weights).map(([service, weight]) => ({ service, weight }));
  await api.call('PATCH', path, { spec: { backends } }, 'application/merge-patch+json');
}
