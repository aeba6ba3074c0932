import { join } from 'node:path';
import type { Cluster } from '../provider/kubernetes/cluster.ts';
import { defaultControlNamespace, defaultMeshName, type ClusterFlags } from './cluster-flags.ts';
import { toAnswer } from './cluster-answers.ts';
import type { CliContext } from './context.ts';

/** A cluster as the user who asks may see it, and which mesh of it is meant. */
export interface ClusterAccess {
  readonly cluster: Cluster;
  readonly controlNamespace: string;
  readonly meshName: string;
  /** `context "kind-a" (https://127.0.0.1:6443)`. */
  readonly where: string;
  /** What the kubeconfig was found by, for more connections to the same. */
  readonly options: { readonly kubeconfig?: string; readonly context?: string };
}

/**
 * Does something with a cluster and closes it again. What the API server refuses becomes an answer: which right is
 * missing, on what, and what gives it. Loads the Kubernetes client only now.
 */
export async function withCluster<T>(
  context: CliContext,
  flags: ClusterFlags,
  use: (access: ClusterAccess) => Promise<T>,
): Promise<T> {
  const options = {
    ...(flags.kubeconfig !== undefined && { kubeconfig: flags.kubeconfig }),
    ...(flags.context !== undefined && { context: flags.context }),
  };
  let where = whereOf(context, flags);
  let cluster: Cluster | undefined;
  try {
    const { openCluster } = await import('../provider/kubernetes/cluster.ts');
    cluster = await openCluster(options);
    where = `${cluster.context === undefined ? 'the cluster' : `context "${cluster.context}"`} (${cluster.server})`;
    return await use({
      cluster,
      controlNamespace: flags.controlNamespace ?? defaultControlNamespace,
      meshName: flags.meshName ?? defaultMeshName,
      where,
      options,
    });
  } catch (error) {
    throw toAnswer(error, where);
  } finally {
    cluster?.close();
  }
}

function whereOf({ env }: CliContext, { kubeconfig }: ClusterFlags): string {
  if (kubeconfig !== undefined) return `kubeconfig ${kubeconfig}`;
  const fromEnv = env['KUBECONFIG'];
  return fromEnv ? `KUBECONFIG=${fromEnv}` : `kubeconfig ${join(env['HOME'] ?? '~', '.kube', 'config')}`;
}
