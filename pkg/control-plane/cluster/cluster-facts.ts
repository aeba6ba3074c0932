import type { Logger } from '../../observability/logger.ts';
import type { Cluster } from '../../provider/kubernetes/cluster.ts';
import { ClusterError } from '../../provider/kubernetes/cluster-error.ts';
import type { KubernetesConfig } from '../kubernetes-config.ts';
import type { ClusterFacts } from './injection.ts';

export interface ClusterFactsOptions {
  readonly cluster: Pick<Cluster, 'request'>;
  readonly kubernetes: Pick<KubernetesConfig, 'namespace' | 'service'>;
  /** Our own. */
  readonly version: string;
  readonly log: Logger;
  readonly signal: AbortSignal;
  readonly sleep: (milliseconds: number, signal: AbortSignal) => Promise<void>;
}

const requestMs = 5_000;
const firstRetry = 250;
const longestRetry = 5_000;

/**
 * What injection depends on of the cluster itself. Asked until it is known: a pod that is given a sidecar for another
 * Kubernetes than this never starts. What does not exist, or may not be read, has a safe default.
 */
export async function readClusterFacts(options: ClusterFactsOptions): Promise<ClusterFacts> {
  const { cluster, kubernetes, version, log, signal, sleep } = options;

  /** Undefined: there is none, or the signal was aborted. */
  async function ask<T>(path: string): Promise<T | undefined> {
    for (let retry = firstRetry; !signal.aborted; retry = Math.min(retry * 2, longestRetry)) {
      try {
        return await cluster.request<T>('GET', path, { timeoutMs: requestMs, signal });
      } catch (error) {
        const reason = (error as Error).message;
        const isFinal = error instanceof ClusterError && (error.status === 403 || error.status === 404);
        if (isFinal || retry === firstRetry || retry === longestRetry) {
          log.warn('something of the cluster could not be found out', { path, reason, again: !isFinal });
        }
        if (isFinal) return undefined;
      }
      await sleep(retry, signal);
    }
    return undefined;
  }

  const { namespace, service } = kubernetes;
  const [release, found] = await Promise.all([
    ask<{ minor?: string }>('/version'),
    ask<{ spec?: { clusterIP?: string } }>(`/api/v1/namespaces/${namespace}/services/${service}`),
  ]);
  // Some say `29+`.
  const minor = Number.parseInt(release?.minor ?? '', 10);
  const ip = found?.spec?.clusterIP;
  return {
    version,
    ...(Number.isInteger(minor) ? { kubernetesMinor: minor } : {}),
    ...(ip === undefined || ip === '' || ip === 'None' ? {} : { serviceIp: ip }),
  };
}
