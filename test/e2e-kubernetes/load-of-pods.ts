import type { KubernetesApi } from '../support/kubernetes-api.ts';
import type { Tally } from './apps/load.ts';
import { orderPeer } from './peers.ts';

/** All that a Deployment's pods sent from their start, pods that come and go included. */
export interface PodLoads {
  /** Ends the load of those that live, and gives what each pod counted. */
  stop(): Promise<ReadonlyMap<string, Tally>>;
}

/** Follows the logs of the peers of one app: a peer that ends says there what came of its load. */
export function followLoads(api: KubernetesApi, namespace: string, app: string): PodLoads {
  const closing = new AbortController();
  const told = new Map<string, Tally>();
  const followed = new Set<string>();

  async function look(): Promise<void> {
    const pods = await api.list(`/api/v1/namespaces/${namespace}/pods?labelSelector=app%3D${app}`);
    for (const { metadata, status } of pods) {
      const isStarted = status?.containerStatuses?.some(
        ({ name, state }) => name === 'peer' && state?.['running'] !== undefined,
      );
      if (followed.has(metadata.name) || isStarted !== true) continue;
      followed.add(metadata.name);
      const path = `/api/v1/namespaces/${namespace}/pods/${metadata.name}/log?container=peer&follow=true`;
      api.follow(path, (line) => readTally(line, metadata.name), closing.signal);
    }
  }
  function readTally(line: string, pod: string): void {
    const told_ = line.startsWith('{') ? (JSON.parse(line) as Partial<Tally>) : {};
    if (told_.sent !== undefined) told.set(pod, told_ as Tally);
  }
  const timer = setInterval(() => void look().catch(() => undefined), 250);
  void look();

  return {
    stop: async () => {
      await look();
      for (const pod of followed) {
        const live = await api.find(`/api/v1/namespaces/${namespace}/pods/${pod}`);
        if (live === undefined || live.metadata.deletionTimestamp !== undefined) continue;
        told.set(pod, await orderPeer<Tally>(api, namespace, pod, '/stop', { id: 'start' }));
      }
      clearInterval(timer);
      // What a pod said last is on its way when the pod is gone.
      const end = Date.now() + 10_000;
      while (told.size < followed.size && Date.now() < end) await new Promise((resolve) => setTimeout(resolve, 100));
      closing.abort();
      const silent = [...followed].filter((pod) => !told.has(pod));
      if (silent.length > 0) throw new Error(`no tally from ${silent.join(', ')}`);
      return told;
    },
  };
}
