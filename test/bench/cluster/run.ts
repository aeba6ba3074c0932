import {
  controlNamespace,
  helm,
  installedReleases,
  installArguments,
  chart,
  loadAllImages,
  openCluster,
  release,
} from '../../e2e-kubernetes/cluster.ts';
import { deletePath, removeNamespaces } from '../../support/kubernetes-objects.ts';
import type { KubernetesApi } from '../../support/kubernetes-api.ts';
import { progress } from '../processes.ts';
import { type Goal, type Section, toGoal, toText } from '../report.ts';
import { bookstoreNamespaces } from '../../e2e-kubernetes/bookstore.ts';
import { openBookstore } from './bookstore.ts';
import { measureLatency } from './latency.ts';
import { measureMemory, measureManyPods } from './memory.ts';
import { measureChanges, measureDenied, measureRolling } from './requests.ts';
import { measureStart } from './start.ts';

/** One line of the table: what OSM v1.2.4 did on such a cluster, and what Tulle does. */
export interface Row {
  readonly what: string;
  readonly osm: string;
  readonly tulle: string;
  readonly goals?: readonly Goal[];
}

/**
 * Tulle on the cluster of KUBECONFIG against what OSM v1.2.4 was measured to do on one of the same kind, with its own
 * bookstore, by a client of the same kind. Installs, and takes it all away again.
 */
export async function benchCluster(isQuick: boolean): Promise<Section[]> {
  const api = openCluster();
  progress(`images: ${(await loadAllImages(api)).join(', ') || 'all there'}`);
  await clear(api);
  const rows: Row[] = [];
  const add = (more: Row | readonly Row[]): void => {
    for (const row of [more].flat()) {
      rows.push(row);
      progress(`${row.what}: ${row.tulle} (OSM: ${row.osm})`);
    }
  };
  const sections: Section[] = [];
  try {
    add(await measureInstall(api, isQuick ? 1 : 3));
    const bookstore = await openBookstore(api);
    add(await measureMemory(api));
    add(await measureChanges(api, bookstore, isQuick ? 6 : 20));
    add(await measureRolling(api, bookstore));
    add(await measureDenied(bookstore));
    add(await measureStart(api, isQuick ? 4 : 8));
    sections.push(await measureLatency(api, isQuick ? 5 : 15));
    if (!isQuick) {
      // A node of two processors has not enough to promise for both.
      await removeNamespaces(api, bookstoreNamespaces, 180);
      sections.push(await measureManyPods(api, 100));
    }
  } finally {
    await clear(api);
    api.close();
  }
  return [
    {
      title: 'On Kubernetes, against Open Service Mesh',
      text: 'One node, the bookstore in four namespaces, enforced. OSM v1.2.4 was built from source and measured on a cluster of the same kind, with its own bookstore and Envoy 1.40.0, by a client in the same place: one keep-alive connection, one request each 5 ms. Times of changes: from the answer of the API server to the write until the moment at which a request was sent that was answered so.',
      heads: ['what', 'OSM v1.2.4', 'Tulle'],
      rows: rows.map(({ what, osm, tulle }) => [what, osm, tulle]),
      goals: rows.flatMap(({ goals = [] }) => goals),
    },
    ...sections,
  ];
}

async function measureInstall(api: KubernetesApi, times: number): Promise<Row> {
  const seconds: number[] = [];
  for (let round = 0; round < times; round += 1) {
    if (round > 0) await removeMesh(api);
    const start = performance.now();
    await helm('install', release, chart, ...installArguments);
    seconds.push((performance.now() - start) / 1000);
  }
  const worst = Math.max(...seconds);
  return {
    what: '`helm install --wait`, images present',
    osm: '34 s',
    tulle: seconds.map((value) => `${toText(value)} s`).join(', '),
    goals: [toGoal('install, ≤ 15 s', worst, 15, ' s')],
  };
}

async function removeMesh(api: KubernetesApi): Promise<void> {
  if ((await installedReleases()).length > 0) await helm('uninstall', release, '-n', controlNamespace, '--wait');
  await removeNamespaces(api, [controlNamespace], 120);
}

async function clear(api: KubernetesApi): Promise<void> {
  const own = await api.list('/api/v1/namespaces?labelSelector=tulle-e2e');
  const names = [...new Set([...own.map(({ metadata }) => metadata.name), ...bookstoreNamespaces])];
  for (const name of names) await deletePath(api, `/api/v1/namespaces/${name}`);
  await removeNamespaces(api, names, 180);
  await removeMesh(api);
}
