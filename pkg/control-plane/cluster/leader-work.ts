import { setMaxListeners } from 'node:events';
import type { Logger } from '../../observability/logger.ts';
import type { Cluster } from '../../provider/kubernetes/cluster.ts';
import type { KubernetesConfig } from '../kubernetes-config.ts';
import { ensureMeshConfig } from './ensure-mesh-config.ts';
import { type Keeper, runKeeper } from './keeper.ts';
import type { TrustBundles } from './trust-bundles.ts';
import type { WebhookBundle } from './webhook-bundle.ts';

export interface LeaderWorkOptions {
  readonly cluster: Cluster;
  readonly kubernetes: KubernetesConfig;
  readonly trust: TrustBundles;
  /** Absent: there is no webhook. */
  readonly webhook?: WebhookBundle;
  /** Changes roots when it is time; absent: they are not ours to change. */
  readonly rotateRoots?: (signal: AbortSignal) => void;
  readonly signal: AbortSignal;
  readonly log: Logger;
}

/** What only one replica writes, and all look at. */
export interface LeaderWork {
  /** From now on, until the signal is aborted, this replica writes. */
  lead(term: AbortSignal): void;
  /** The roots, the meshed namespaces or somebody's ConfigMap changed. */
  changed(): void;
}

/** Milliseconds between looks at what nobody tells about. */
const every = { trust: 60_000, webhook: 5_000, meshConfig: 30_000 };

export function createLeaderWork(options: LeaderWorkOptions): LeaderWork {
  const { cluster, kubernetes, trust, webhook, rotateRoots, signal, log } = options;
  const { namespace, meshConfig: name } = kubernetes;
  const failed = (what: string) => (error: unknown) => log.error('the leader could not write', { what, error });
  let keepers: readonly Keeper[] = [];
  let refused: string | undefined;
  const webhookKeeper =
    webhook &&
    runKeeper({
      work: (during) => webhook.reconcile(during),
      every: every.webhook,
      signal,
      onError: failed('caBundle of the webhook'),
    });

  async function makeMeshConfig(term: AbortSignal): Promise<void> {
    const found = await ensureMeshConfig(cluster, { namespace, name }, term);
    const about = { name: `${namespace}/${name}` };
    if (found.state === 'made') log.info('an empty MeshConfig was made: what it does not say, the chart says', about);
    // Once: nothing that is in force depends on it.
    if (found.state === 'refused' && found.reason !== refused) {
      const fix =
        'create it with what the installed CRD asks for, or leave it: the values of the chart hold without it';
      log.warn('the installed CRD takes no empty MeshConfig, so there is none', {
        ...about,
        reason: found.reason,
        fix,
      });
    }
    refused = found.state === 'refused' ? found.reason : undefined;
  }

  return {
    lead(term) {
      setMaxListeners(0, term);
      log.info('this replica writes from now on');
      term.addEventListener('abort', () => {
        keepers = [];
        log.info('this replica writes no longer');
      });
      rotateRoots?.(term);
      keepers = [
        runKeeper({
          work: (during) => trust.reconcile(during),
          every: every.trust,
          signal: term,
          onError: failed('the roots in meshed namespaces'),
        }),
      ];
      runKeeper({ work: makeMeshConfig, every: every.meshConfig, signal: term, onError: failed('MeshConfig') });
      webhookKeeper?.ring();
    },
    changed() {
      for (const keeper of keepers) keeper.ring();
      webhookKeeper?.ring();
    },
  };
}
