import { execFile } from 'node:child_process';
import { join } from 'node:path';
import { promisify } from 'node:util';
import { openKubernetesApi, type KubernetesApi } from '../support/kubernetes-api.ts';
import { imageLoaderFromEnvironment, loadImages, standIn } from '../support/kubernetes-images.ts';
import { allSources } from './images.ts';

const run = promisify(execFile);
export const chart = join(import.meta.dirname, '../../charts/tulle');
export const release = 'tulle';
export const controlNamespace = 'tulle-system';
export const meshName = 'osm';

const loader = imageLoaderFromEnvironment();
const kubeconfig = process.env['KUBECONFIG'];

/** Why there is no cluster to test with; undefined when there is one. */
export const missing =
  loader === undefined
    ? 'TULLE_IMAGE_LOAD names no command that brings an image into a cluster'
    : kubeconfig === undefined || kubeconfig === ''
      ? 'KUBECONFIG names no cluster'
      : undefined;

export function openCluster(): KubernetesApi {
  if (missing !== undefined) throw new Error(missing);
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

export async function installedReleases(): Promise<readonly string[]> {
  const found = JSON.parse(await helm('list', '-n', controlNamespace, '-o', 'json')) as { name: string }[];
  return found.map(({ name }) => name);
}

/** Brings all images into the cluster: those that stand in for what can't be pulled, too. Gives the names of those that were not there yet. */
export async function loadAllImages(api: KubernetesApi, part?: (name: string) => boolean): Promise<string[]> {
  if (loader === undefined) throw new Error(missing);
  const cluster = (await api.get('/api/v1/namespaces/kube-system')).metadata.uid ?? 'cluster';
  const sources = (await allSources()).filter(
    ({ name, pulled, from }) => (!pulled || standIn(loader, from) !== undefined) && (part?.(name) ?? true),
  );
  return loadImages(loader, cluster, sources);
}

export const upgradeArguments = ['--namespace', controlNamespace, '--wait', '--timeout', '120s'];
export const installArguments = [...upgradeArguments, '--create-namespace'];
