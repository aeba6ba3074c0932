import { execFile } from 'node:child_process';
import { join } from 'node:path';
import { promisify } from 'node:util';
import { openKubernetesApi, type KubernetesApi, type KubernetesObject } from '../support/kubernetes-api.ts';
import { imageLoaderFromEnvironment, loadImages, standIn, type ImageSource } from '../support/kubernetes-images.ts';
import { deletePath, objectPath, until } from '../support/kubernetes-objects.ts';
import { diagnose } from './diagnosis.ts';
import { allSources } from './images.ts';

const run = promisify(execFile);
const root = join(import.meta.dirname, '../..');
export const chart = join(root, 'charts/tulle');
export const release = 'tulle';
export const controlNamespace = 'tulle-system';
export const meshName = 'osm';

/** The mesh that all files of this suite share: installed once, by the real helm. */
export interface Mesh {
  readonly api: KubernetesApi;
  /** `helm install --wait`, images present. */
  readonly installMs: number;
  readonly notes: string;
}

const loader = imageLoaderFromEnvironment();
const kubeconfig = process.env['KUBECONFIG'];
const missing =
  loader === undefined
    ? 'TULLE_IMAGE_LOAD names no command that brings an image into a cluster'
    : kubeconfig === undefined || kubeconfig === ''
      ? 'KUBECONFIG names no cluster'
      : undefined;

let installed: Promise<Mesh> | undefined;
const usedNamespaces = new Set<string>();

/** The cluster, without a mesh: for what has to look before the install. */
export function openCluster(): KubernetesApi {
  return openKubernetesApi(kubeconfig ?? '');
}

export async function helm(...args: readonly string[]): Promise<string> {
  const { stdout } = await run('helm', [...args], { timeout: 180_000, maxBuffer: 2 ** 24 });
  return stdout;
}

export async function kubectl(args: readonly string[], input?: string): Promise<string> {
  const running = run('kubectl', [...args], { timeout: 120_000, maxBuffer: 2 ** 24 });
  running.child.stdin?.end(input ?? '');
  return (await running).stdout;
}

export function theMesh(): Promise<Mesh> {
  installed ??= installMesh();
  return installed;
}

async function clusterId(api: KubernetesApi): Promise<string> {
  return (await api.get('/api/v1/namespaces/kube-system')).metadata.uid ?? 'cluster';
}

/** Brings all images into the cluster: those that stand in for what can't be pulled, too. */
export async function loadAllImages(api: KubernetesApi): Promise<string[]> {
  if (loader === undefined) throw new Error(missing);
  const sources = (await allSources()).filter(({ pulled, from }) => !pulled || standIn(loader, from) !== undefined);
  return loadImages(loader, await clusterId(api), sources satisfies readonly ImageSource[]);
}

export const installArguments = ['--namespace', controlNamespace, '--create-namespace', '--wait', '--timeout', '120s'];

async function installMesh(): Promise<Mesh> {
  const api = openCluster();
  const loaded = await loadAllImages(api);
  const releases = JSON.parse(await helm('list', '-n', controlNamespace, '-a', '-o', 'json')) as { name: string }[];
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
  await removeAll(api, left);
}

async function removeAll(api: KubernetesApi, namespaces: readonly KubernetesObject[]): Promise<void> {
  await Promise.all(namespaces.map((namespace) => deletePath(api, objectPath(namespace))));
  await until('namespaces of earlier runs gone', 120, async () => {
    const found = await Promise.all(namespaces.map((namespace) => api.find(objectPath(namespace))));
    return found.every((namespace) => namespace === undefined);
  });
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
      namespaces.forEach((name) => usedNamespaces.add(name));
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
    const releases = JSON.parse(await helm('list', '-n', controlNamespace, '-a', '-o', 'json')) as { name: string }[];
    if (releases.length > 0) await helm('uninstall', release, '-n', controlNamespace, '--wait');
    await deletePath(api, `/api/v1/namespaces/${controlNamespace}`);
    api.close();
  });
}
