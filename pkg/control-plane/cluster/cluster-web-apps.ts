import type { RequestListener } from 'node:http';
import type { CertificateAuthority } from '../../certs/authority.ts';
import type { Clock } from '../../certs/clock.ts';
import type { MeshView } from '../../dashboard/mesh-view.ts';
import type { Logger } from '../../observability/logger.ts';
import type { Metrics } from '../../observability/metrics.ts';
import type { Cluster } from '../../provider/kubernetes/cluster.ts';
import { toServiceNames } from '../kubernetes-config.ts';
import { createWebApps } from '../web-apps.ts';
import type { AuthenticatePod } from './authenticate-pod.ts';
import type { ClusterControllerConfig } from './cluster-config.ts';
import { createSpanReporters, guardOtlp } from './otlp-guard.ts';
import { readOwnToken } from './own-token.ts';
import { type Replicas, runReplicas } from './replicas.ts';
import { createSpanRelay } from './span-relay.ts';

export interface ClusterWebAppsOptions {
  readonly config: ClusterControllerConfig;
  readonly cluster: Cluster;
  readonly authority: Pick<CertificateAuthority, 'bundle'>;
  readonly authenticate: AuthenticatePod;
  readonly view: MeshView;
  readonly metrics: Metrics;
  readonly log: Logger;
  readonly signal: AbortSignal;
  readonly clock: Clock;
  /** 0 to 1. */
  readonly random: () => number;
}

/** What is kept of traffic: the user's own collector has all of it. The whole process is to stay below 120 MiB. */
const bounds = { spans: 4_000, bytes: 8 * 1024 * 1024, calls: 5_000 };

/**
 * The page with its API, and the receiver of spans: for pods with their tokens, and for other replicas. A sidecar exports to
 * any replica, which hands it on to the others, so that each knows every trace whole.
 */
export function createClusterWebApps(options: ClusterWebAppsOptions): Record<'dashboard' | 'otlp', RequestListener> {
  const { config, authority, authenticate, view, metrics, log, signal } = options;
  const now = Date.now;
  const replicas = followReplicas(options);
  const [serverName = ''] = toServiceNames(config.kubernetes);
  const roots = (): string => authority.bundle();
  const relay = replicas && createSpanRelay({ replicas, roots, serverName, metrics, log, signal, now });
  const reporters = createSpanReporters();
  const { mayReport } = reporters;
  const { dashboard, otlp, relayed } = createWebApps({
    ...{ config, view, metrics, log, signal, bounds, mayReport },
    ...(relay ? { relay: (body, contentType) => relay.send(body, contentType) } : {}),
  });
  const guarded = guardOtlp({
    ...{ app: otlp, authenticate, reporters, log, metrics, now },
    ...(replicas ? { relayed: { app: relayed, from: (identity) => replicas.includes(identity) } } : {}),
  });
  return { dashboard, otlp: guarded };
}

/** Undefined: this replica has no token to show the others. */
function followReplicas(options: ClusterWebAppsOptions): Replicas | undefined {
  const { config, cluster, signal, clock, random, log } = options;
  const { namespace, service, tokenFile } = config.kubernetes;
  if (tokenFile === undefined) return undefined;
  const readToken = (): ReturnType<typeof readOwnToken> => readOwnToken(tokenFile);
  const { trustDomain } = config.mesh;
  return runReplicas({ cluster, namespace, service, trustDomain, readToken, signal, clock, random, log });
}
