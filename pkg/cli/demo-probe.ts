import { randomBytes } from 'node:crypto';
import type { ClusterAccess } from './cluster-access.ts';
import type { PodObject } from './cluster-pods.ts';
import { demoImage, toImage } from './demo-namespaces.ts';
import { pause } from './pause.ts';

const doneMs = 60_000;

/** One call by a pod of its own under an account of the demo. */
export async function runProbePod(
  { cluster }: ClusterAccess,
  namespace: string,
  serviceAccount: string,
  args: readonly string[],
  registry: string | undefined,
): Promise<{ code: number; output: string }> {
  const name = `probe-${serviceAccount}-${randomBytes(3).toString('hex')}`;
  const path = `/api/v1/namespaces/${namespace}/pods`;
  const body = {
    apiVersion: 'v1',
    kind: 'Pod',
    metadata: { name, namespace, labels: { app: 'tulle-probe' }, annotations: { 'tulle.dev/pre-stop-sleep': '0' } },
    spec: {
      serviceAccountName: serviceAccount,
      restartPolicy: 'Never',
      terminationGracePeriodSeconds: 1,
      containers: [
        {
          name: 'probe',
          image: toImage(demoImage, registry),
          command: ['node', 'apps/probe.mjs', ...args],
          terminationMessagePolicy: 'FallbackToLogsOnError',
        },
      ],
    },
  };
  try {
    await cluster.request('POST', path, { body });
    const end = Date.now() + doneMs;
    while (Date.now() < end) {
      const pod = await cluster.request<PodObject>('GET', `${path}/${name}`);
      const ended = pod.status?.containerStatuses?.find((status) => status.name === 'probe')?.state?.terminated;
      if (ended) return { code: ended.exitCode, output: (ended.message ?? '').trim() };
      await pause(300);
    }
    return { code: -1, output: `pod ${namespace}/${name} was not done after ${doneMs / 1000} s` };
  } catch (error) {
    return { code: -1, output: error instanceof Error ? error.message : String(error) };
  } finally {
    await cluster.request('DELETE', `${path}/${name}`, { query: { gracePeriodSeconds: 0 } }).catch(() => undefined);
  }
}
