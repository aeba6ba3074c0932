import type { Access } from './access.ts';
import { openKubeConfig } from './kube-config.ts';
import { createApiClient, type StreamOptions } from './api-client.ts';
import { openServiceAccount } from './service-account.ts';

export { ClusterError } from './cluster-error.ts';

export type QueryValues = Readonly<Record<string, string | number | boolean | undefined>>;

export interface RequestOptions {
  readonly query?: QueryValues;
  /** Sent as JSON. */
  readonly body?: unknown;
  /** `application/json` when absent; patches name theirs: `application/apply-patch+yaml`, `application/merge-patch+json`. */
  readonly contentType?: string;
  /** `application/json` when absent; keys come as `application/jwk-set+json` and as nothing else. */
  readonly accept?: string;
  /** For the whole exchange. 30 s when absent. */
  readonly timeoutMs?: number;
  /** A longer answer is an error. 64 MiB when absent. */
  readonly maxBytes?: number;
  readonly signal?: AbortSignal;
}

/** The API server of one cluster, spoken to as one user. */
export interface Cluster {
  /** `https://10.96.0.1:443`, for people. */
  readonly server: string;
  /** Of the context, or of the pod; `default` when neither says. */
  readonly namespace: string;
  /** The context of the kubeconfig, for people; absent in a pod. */
  readonly context?: string;
  /** Sends one request and gives the decoded JSON of a 2xx answer. All else is a ClusterError. */
  request<T>(method: string, path: string, options?: RequestOptions): Promise<T>;
  /**
   * Reads an answer that goes on, line by line, until it ends or the signal is aborted. An answer that ends inside a
   * line, is reset, or has a line beyond the bound throws a ClusterError. Nothing is read ahead of who reads.
   */
  openStream(path: string, options: StreamOptions): AsyncIterable<string>;
  /** Ends all connections. */
  close(): void;
}

export interface ClusterOptions {
  /** Path of a kubeconfig. Without: KUBECONFIG, then ~/.kube/config, as kubectl. */
  readonly kubeconfig?: string;
  readonly context?: string;
  /** In place of that of the context. */
  readonly namespace?: string;
  /**
   * The ServiceAccount of the pod that this runs in; nothing of a kubeconfig is read then. `server` in place of
   * `https://kubernetes.default.svc`, which needs DNS; `directory` in place of the one where pods have it.
   */
  readonly inCluster?: boolean | { readonly server?: string; readonly directory?: string };
}

/**
 * Opens the way to a cluster; nothing is sent yet. A kubeconfig that can't be used is a ClusterError.
 *
 * Kubeconfigs are read by `@kubernetes/client-node` (contexts, exec plugins, OIDC), which is loaded only then: it takes
 * 70 MiB of memory, which a control plane in a pod need not spend.
 */
export async function openCluster(options: ClusterOptions = {}): Promise<Cluster> {
  const { inCluster } = options;
  const access: Access =
    inCluster === undefined || inCluster === false
      ? await openKubeConfig(options)
      : await openServiceAccount(inCluster === true ? {} : inCluster);
  return createCluster(access, options.namespace);
}

export function createCluster(access: Access, namespace = access.namespace): Cluster {
  const client = createApiClient(access);
  return {
    server: access.server,
    namespace,
    ...(access.context !== undefined && { context: access.context }),
    request: async <T>(method: string, path: string, request: RequestOptions = {}): Promise<T> =>
      client.json(method, path, request) as Promise<T>,
    openStream: (path, stream) => client.stream(path, stream),
    close: () => client.close(),
  };
}
