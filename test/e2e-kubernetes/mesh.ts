import type { KubernetesApi } from '../support/kubernetes-api.ts';
import { deletePath, removeNamespaces } from '../support/kubernetes-objects.ts';
import {
  chart,
  controlNamespace,
  helm,
  installArguments,
  installedReleases,
  loadAllImages,
  missing,
  openCluster,
  release,
} from './cluster.ts';
import { diagnose } from './diagnosis.ts';

/** The mesh that all files of this suite share: installed once, by the real helm. */
export interface Mesh {
  readonly api: KubernetesApi;
  /** `helm install --wait`, images present. */
  readonly installMs: number;
  readonly notes: string;
}

let installed: Promise<Mesh> | undefined;

export function theMesh(): Promise<Mesh> {
  installed ??= installMesh();
  return installed;
}

async function installMesh(): Promise<Mesh> {
  const api = openCluster();
  const loaded = await loadAllImages(api);
  const releases = await installedReleases();
  // A run that was broken off leaves one; images may be new since.
  if (releases.length > 0 && process.env['TULLE_E2E_KEEP'] === '1' && loaded.length === 0)
    return { api, installMs: NaN, notes: await helm('get', 'notes', release, '-n', controlNamespace) };
  if (releases.length > 0) await helm('uninstall', release, '-n', controlNamespace, '--wait');
  await removeTestNamespaces(api);
  const start = performance.now();
  try {
    const notes = await helm('install', release, chart, ...installArguments);
    return { api, installMs: performance.now() - start, notes };
  } catch (error) {
    throw new Error(`${(error as Error).message}\n${await diagnose(api, 'install', [controlNamespace])}`);
  }
}

async function removeTestNamespaces(api: KubernetesApi): Promise<void> {
  const left = await api.list('/api/v1/namespaces?labelSelector=tulle-e2e');
  await removeNamespaces(
    api,
    left.map(({ metadata }) => metadata.name),
    120,
  );
}

/**
 * A part of the suite: skipped with its reason without a cluster. A failure says which pod's which log tells of it.
 * The namespaces are this part's own; those that `body` makes are removed after it.
 */
export function describeMesh(title: string, namespaces: readonly string[], body: (mesh: () => Mesh) => void): void {
  if (missing !== undefined) {
    describe(title, () => {
      it.skip(`skipped: ${missing}`);
    });
    return;
  }
  describe(title, function () {
    this.timeout(240_000);
    let mesh: Mesh | undefined;
    const get = (): Mesh => {
      if (mesh === undefined) throw new Error('the mesh is used before it is installed');
      return mesh;
    };
    before(async () => {
      mesh = await theMesh();
    });
    afterEach(async function () {
      const test = this.currentTest;
      if (test?.state !== 'failed' || mesh === undefined || test.err === undefined) return;
      const found = await diagnose(mesh.api, test.fullTitle(), [...namespaces, controlNamespace]);
      test.err.message += `\n${found}`;
      if (test.err.stack !== undefined) test.err.stack = `${test.err.message}\n${test.err.stack}`;
    });
    body(get);
    after(async () => {
      if (mesh === undefined || process.env['TULLE_E2E_KEEP'] === '1') return;
      const { api } = mesh;
      await Promise.all(namespaces.map((name) => deletePath(api, `/api/v1/namespaces/${name}`)));
    });
  });
}

/** In a `before` of `describeMesh`: says where to look when it fails. */
export async function preparing(
  mesh: Mesh,
  title: string,
  namespaces: readonly string[],
  work: () => Promise<void>,
): Promise<void> {
  try {
    await work();
  } catch (error) {
    throw new Error(
      `${(error as Error).message}\n${await diagnose(mesh.api, title, [...namespaces, controlNamespace])}`,
    );
  }
}

if (missing === undefined) {
  after(async function () {
    this.timeout(180_000);
    if (installed === undefined || process.env['TULLE_E2E_KEEP'] === '1') return;
    const { api } = await installed;
    await removeTestNamespaces(api);
    const releases = await installedReleases();
    if (releases.length > 0) await helm('uninstall', release, '-n', controlNamespace, '--wait');
    await deletePath(api, `/api/v1/namespaces/${controlNamespace}`);
    api.close();
  });
}
