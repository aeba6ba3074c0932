import { mkdirSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import type { KubernetesApi, KubernetesObject } from '../support/kubernetes-api.ts';

const folder = join(import.meta.dirname, '../../build/e2e-kubernetes/failures');
const telling =
  /"level":(4|5|6)0|"level":"(warn|error|fatal)"|\[(warning|error|critical)\]|NACK|rejected|refused|[Dd]enied|Error:/;

/**
 * What the pods of those namespaces say: their state, their logs and events, in a file.
 * Gives the lines for a failure's message: which pod's which log tells of trouble, and where the rest is.
 */
export async function diagnose(api: KubernetesApi, title: string, namespaces: readonly string[]): Promise<string> {
  const told: string[] = [];
  const whole: string[] = [];
  for (const namespace of namespaces) {
    const pods = await api.list(`/api/v1/namespaces/${namespace}/pods`).catch(() => []);
    for (const pod of pods) {
      const state = describePod(pod);
      whole.push(`== ${state}`);
      if (!state.includes(' Ready')) told.push(state);
      for (const container of containersOf(pod)) {
        const log = await readLog(api, pod, container);
        whole.push(`-- log of ${namespace}/${pod.metadata.name} ${container}`, log);
        const lines = log.split('\n').filter((line) => telling.test(line));
        if (lines.length > 0) {
          const last = (lines.at(-1) ?? '').slice(0, 300);
          told.push(
            `log of ${namespace}/${pod.metadata.name} container ${container} (${lines.length} such lines): ${last}`,
          );
        }
      }
    }
    const events = await api.list(`/api/v1/namespaces/${namespace}/events`).catch(() => []);
    const lines = events.map(
      (event) =>
        `${event['type']} ${event['reason']} ${event['involvedObject']?.kind}/${event['involvedObject']?.name}: ${event['message']}`,
    );
    whole.push(`== events of ${namespace}`, ...lines);
    told.push(...lines.filter((line) => line.startsWith('Warning')).slice(-3));
  }
  mkdirSync(folder, { recursive: true });
  const file = join(folder, `${title.replaceAll(/[^\w]+/g, '-').slice(0, 100)}.txt`);
  writeFileSync(file, `${whole.join('\n')}\n`);
  return [...told.slice(0, 25), `all states, logs and events: ${file}`].map((line) => `  ${line}`).join('\n');
}

function containersOf(pod: KubernetesObject): string[] {
  const { spec } = pod;
  const names = [...(spec.initContainers ?? []), ...spec.containers] as { name: string }[];
  return names.map(({ name }) => name);
}

async function readLog(api: KubernetesApi, pod: KubernetesObject, container: string): Promise<string> {
  const { namespace, name } = pod.metadata;
  const path = `/api/v1/namespaces/${namespace}/pods/${name}/log?container=${container}&tailLines=300`;
  const current = await api.send('GET', path).catch(() => undefined);
  const restarted = ((pod['status']?.containerStatuses ?? []) as { name: string; restartCount: number }[]).some(
    (status) => status.name === container && status.restartCount > 0,
  );
  const before = restarted ? await api.send('GET', `${path}&previous=true`).catch(() => undefined) : undefined;
  return `${before?.status === 200 ? `${before.body}-- restarted --\n` : ''}${current?.body ?? ''}`;
}

function describePod(pod: KubernetesObject): string {
  const status = pod['status'] ?? {};
  const ready = ((status.conditions ?? []) as { type: string; status: string }[]).find(({ type }) => type === 'Ready');
  const statuses = [...(status.initContainerStatuses ?? []), ...(status.containerStatuses ?? [])] as {
    name: string;
    state?: Record<string, { reason?: string; message?: string; exitCode?: number }>;
    restartCount: number;
  }[];
  const parts = statuses.map(({ name, state = {}, restartCount }) => {
    const [[kind, detail] = ['unknown', {}]] = Object.entries(state);
    const more = [detail.reason, detail.exitCode === undefined ? undefined : `exit ${detail.exitCode}`, detail.message];
    return `${name} ${[kind, ...more.filter(Boolean)].join(' ')}${restartCount > 0 ? ` (${restartCount} restarts)` : ''}`;
  });
  const gone = pod.metadata.deletionTimestamp === undefined ? '' : ' terminating';
  const done = status.phase === 'Succeeded';
  return `pod ${pod.metadata.namespace}/${pod.metadata.name} ${status.phase}${ready?.status === 'True' || done ? ' Ready' : ' not ready'}${gone}: ${parts.join('; ')}`;
}
