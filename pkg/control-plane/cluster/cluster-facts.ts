import type { Logger } from '../../observability/logger.ts';
import type { Cluster } from '../../provider/kubernetes/cluster.ts';
import type { KubernetesConfig } from '../kubernetes-config.ts';
import type { ClusterFacts } from './injection.ts';

/** What injection depends on of the cluster itself. What can't be found out is left out: each has a safe default. */
export async function readClusterFacts(
  cluster: Pick<Cluster, 'request'>,
  { namespace, service }: Pick<KubernetesConfig, 'namespace' | 'service'>,
  version: string,
  log: Logger,
): Promise<ClusterFacts> {
  const ask = async <T>(path: string): Promise<T | undefined> => {
    try {
      return await cluster.request<T>('GET', path, { timeoutMs: 5_000 });
    } catch (error) {
      log.warn('something of the cluster could not be found out', { path, reason: (error as Error).message });
      return undefined;
    }
  };
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
