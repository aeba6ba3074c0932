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
        `${event.type} ${event.reason} ${event.involvedObject?.kind}/${event.involvedObject?.name}: ${event.message}`,
    );
    whole.push(`== events of ${namespace}`, ...lines);
    told.push(...lines.filter((line) => line.startsWith('Warning')).slice(-3));
  }
  mkdirSync(folder, { recursive: true });
  const file = join(folder, `${title.replaceAll(/[^\w]+/g, '-').slice(0, 100)}.txt`);
  writeFileSync(file, `${whole.join('\n')}\n`);
  return [...told.slice(0, 25), `all states, logs and events: ${file}`].map((line) => `  ${line}`).join('\n');
}

function containersOf({ spec }: KubernetesObject): string[] {
  return [...(spec?.initContainers ?? []), ...(spec?.containers ?? [])].map(({ name }) => name);
}

async function readLog(api: KubernetesApi, pod: KubernetesObject, container: string): Promise<string> {
  const { namespace, name } = pod.metadata;
  const path = `/api/v1/namespaces/${namespace}/pods/${name}/log?container=${container}&tailLines=300`;
  const current = await api.send('GET', path).catch(() => undefined);
  const restarted = (pod.status?.containerStatuses ?? []).some(
    (status) => status.name === container && status.restartCount > 0,
  );
  const before = restarted ? await api.send('GET', `${path}&previous=true`).catch(() => undefined) : undefined;
  return `${before?.status === 200 ? `${before.body}-- restarted --\n` : ''}${current?.body ?? ''}`;
}

function describePod({ metadata, status = {} }: KubernetesObject): string {
  const ready = (status.conditions ?? []).find(({ type }) => type === 'Ready');
  const statuses = [...(status.initContainerStatuses ?? []), ...(status.containerStatuses ?? [])];
  const parts = statuses.map(({ name, state = {}, restartCount }) => {
    const [[kind, detail] = ['unknown', {}]] = Object.entries(state);
    const code = detail.exitCode === undefined ? undefined : `exit ${detail.exitCode}`;
    const words = [kind, detail.reason, code, detail.message].filter((word) => word !== undefined);
    return `${name} ${words.join(' ')}${restartCount > 0 ? ` (${restartCount} restarts)` : ''}`;
  });
  const isFine = ready?.status === 'True' || status.phase === 'Succeeded';
  const gone = metadata.deletionTimestamp === undefined ? '' : ' terminating';
  const state = `${status.phase ?? 'unknown'}${isFine ? ' Ready' : ' not ready'}${gone}`;
  return `pod ${metadata.namespace}/${metadata.name} ${state}: ${parts.join('; ')}`;
}
