import type { RequestListener } from 'node:http';
import type { InjectionNamespace, InjectionSettings } from '../../injector/injection-settings.ts';
import { createInjectorApp } from '../../injector/injector-app.ts';
import type { Logger } from '../../observability/logger.ts';
import type { Metrics } from '../../observability/metrics.ts';
import type { Cluster } from '../../provider/kubernetes/cluster.ts';
import { isNotFound } from '../../provider/kubernetes/cluster-error.ts';
import type { NamespaceDirectory } from '../../provider/kubernetes/directories.ts';
import type { TrustBundles } from './trust-bundles.ts';

export interface WebhookAppOptions {
  readonly settings: () => InjectionSettings;
  readonly namespaces: NamespaceDirectory;
  readonly trust: TrustBundles;
  readonly cluster: Pick<Cluster, 'request'>;
  readonly metrics: Metrics;
  readonly log: Logger;
}

interface NamespaceObject {
  readonly metadata: Partial<Pick<InjectionNamespace, 'labels' | 'annotations'>>;
}

/** The injector, told of namespaces by the provider. */
export function createWebhookApp(options: WebhookAppOptions): RequestListener {
  const { settings, namespaces, trust, cluster, metrics, log } = options;

  async function ask(name: string): Promise<InjectionNamespace | undefined> {
    const path = `/api/v1/namespaces/${encodeURIComponent(name)}`;
    try {
      const { metadata } = await cluster.request<NamespaceObject>('GET', path, { timeoutMs: 5_000 });
      return { name, labels: metadata.labels ?? {}, annotations: metadata.annotations ?? {} };
    } catch (error) {
      if (isNotFound(error)) return undefined;
      throw error;
    }
  }

  return createInjectorApp({
    settings,
    namespaceOf: (name, fresh = false) => (fresh ? ask(name) : namespaces.find(name)),
    prepareNamespace: (name) => trust.prepare(name),
    metrics,
    log,
  });
}
