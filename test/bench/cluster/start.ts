import type { KubernetesApi, KubernetesObject } from '../../support/kubernetes-api.ts';
import {
  applyObjects,
  deletePath,
  isReady,
  pathOf,
  removeNamespaces,
  until,
} from '../../support/kubernetes-objects.ts';
import { type Layout, setLayout } from '../../e2e-kubernetes/layout-of-pods.ts';
import { accountObject, namespaceObject, peerPod } from '../../e2e-kubernetes/peers.ts';
import { toGoal, toText } from '../report.ts';
import type { Row } from './run.ts';

const [meshed, bare] = ['e2e-start', 'e2e-start-bare'];

/**
 * The same pod with and without a sidecar, in turns: from its creation to Ready, probed each second. The kubelet looks once
 * a second, so a pod that is made when the one before was seen to be Ready always meets the same moment of that second;
 * pods of users don't. Creations are spread evenly over it, and the means compared.
 */
export async function measureStart(api: KubernetesApi, times: number): Promise<readonly Row[]> {
  await applyObjects(api, [
    namespaceObject(meshed, { mode: 'enforce' }),
    namespaceObject(bare, { mesh: '' }),
    accountObject(meshed, 'pod'),
    accountObject(bare, 'pod'),
  ]);
  const native = await startPairs(api, 'native', times);
  await setLayout(api, meshed, 'ordinary');
  const ordinary = await startPairs(api, 'ordinary', times);
  await setLayout(api, meshed, 'fast');
  const fast = await startPairs(api, 'fast', times);
  await setLayout(api, meshed, 'native');
  await removeNamespaces(api, [meshed, bare], 120);
  return [
    {
      what: 'pod created → Ready, beyond the same pod without a sidecar (readiness probe each second), means',
      osm: '+ 1.0 s',
      tulle: native.text,
      goals: [toGoal('pod created to Ready, ≤ + 0.5 s', native.more, 0.5, ' s')],
    },
    {
      what: 'the same with `injection.fastStart=true`',
      osm: '–',
      tulle: fast.text,
      goals: [toGoal('pod created to Ready with fastStart, ≤ + 0.5 s', fast.more, 0.5, ' s')],
    },
    {
      what: 'the same with an ordinary sidecar (`injection.nativeSidecars=never`)',
      osm: '–',
      tulle: ordinary.text,
    },
  ];
}

async function startPairs(
  api: KubernetesApi,
  kind: Layout,
  times: number,
): Promise<{ readonly more: number; readonly text: string }> {
  const seconds: Record<string, number[]> = { [meshed]: [], [bare]: [] };
  for (let round = 0; round < times; round += 1)
    for (const namespace of [bare, meshed]) {
      // By the golden ratio, as the kubelet's second is somewhat longer than ours.
      await untilPartOfSecond((round * 0.618) % 1);
      seconds[namespace]?.push(await startPod(api, namespace, `${kind}-${round}`));
    }
  const [withSidecar, without] = [seconds[meshed] ?? [], seconds[bare] ?? []];
  const more = mean(withSidecar) - mean(without);
  const list = (values: readonly number[]): string => values.map((value) => value.toFixed(2)).join(' ');
  const sign = more >= 0 ? '+' : '−';
  return { more, text: `${sign} ${toText(Math.abs(more))} s (${list(withSidecar)} against ${list(without)})` };
}

async function untilPartOfSecond(part: number): Promise<void> {
  await new Promise((resolve) => setTimeout(resolve, (1000 + part * 1000 - (Date.now() % 1000)) % 1000));
}

async function startPod(api: KubernetesApi, namespace: string, name: string): Promise<number> {
  const readinessProbe = { httpGet: { path: '/', port: 8080 }, periodSeconds: 1 };
  const { metadata, spec } = peerPod({
    namespace,
    name,
    account: 'pod',
    listen: ['http:8080'],
    container: { readinessProbe },
  });
  const object = { apiVersion: 'v1', kind: 'Pod', metadata: { ...metadata, name }, spec } as KubernetesObject;
  const start = performance.now();
  await api.call('POST', pathOf('v1', 'Pod', namespace), object);
  const path = pathOf('v1', 'Pod', namespace, name);
  await until(`pod ${name} Ready`, 60, async () => isReady(await api.get(path)) || undefined, 15);
  const seconds = (performance.now() - start) / 1000;
  await deletePath(api, `${path}?gracePeriodSeconds=0`);
  return seconds;
}

function mean(values: readonly number[]): number {
  return values.reduce((sum, value) => sum + value, 0) / values.length;
}
