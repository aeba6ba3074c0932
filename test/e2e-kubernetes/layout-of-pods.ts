import type { KubernetesApi, KubernetesObject } from '../support/kubernetes-api.ts';
import { pathOf, until } from '../support/kubernetes-objects.ts';
import { chart, helm, release, upgradeArguments } from './cluster.ts';
import { peerPod } from './peers.ts';

export type Layout = 'native' | 'ordinary' | 'fast';

const values: Readonly<Record<Layout, readonly string[]>> = {
  native: ['nativeSidecars=auto', 'fastStart=false'],
  ordinary: ['nativeSidecars=never', 'fastStart=false'],
  fast: ['nativeSidecars=auto', 'fastStart=true'],
};

/** Has pods injected so from now on, as a meshed namespace shows: the control plane before may still answer for a moment. */
export async function setLayout(api: KubernetesApi, namespace: string, layout: Layout): Promise<void> {
  const set = values[layout].flatMap((value) => ['--set', `injection.${value}`]);
  await helm('upgrade', release, chart, ...upgradeArguments, '--reuse-values', ...set);
  const plain = peerPod({ namespace, name: 'layout', account: 'default' });
  const object = { ...plain, apiVersion: 'v1', kind: 'Pod', metadata: { ...plain.metadata, name: 'layout' } };
  const path = `${pathOf('v1', 'Pod', namespace)}?dryRun=All`;
  let times = 0;
  await until(`pods injected as ${layout}`, 30, async () => {
    times = layoutOf(await api.call('POST', path, object)) === layout ? times + 1 : 0;
    return times >= 5 || undefined;
  });
}

export function layoutOf({ spec }: KubernetesObject): Layout | 'none' {
  const entries = (spec?.initContainers ?? []).map(({ name }) => name);
  if (entries.includes('envoy')) return 'native';
  if (spec?.containers?.[0]?.name !== 'envoy') return 'none';
  return entries.includes('tulle-init') ? 'ordinary' : 'fast';
}
