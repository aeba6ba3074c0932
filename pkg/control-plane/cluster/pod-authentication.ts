import { tokenAudience } from '../../injector/sidecar-container.ts';
import type { Logger } from '../../observability/logger.ts';
import type { Metrics } from '../../observability/metrics.ts';
import type { Cluster } from '../../provider/kubernetes/cluster.ts';
import type { PodDirectory } from '../../provider/kubernetes/directories.ts';
import { type AuthenticatePod, createClusterTokenAuthentication } from './authenticate-pod.ts';
import type { ClusterControllerConfig } from './cluster-config.ts';
import { createFirstAddresses } from './first-addresses.ts';
import { createMasqueradeWatch, peerAddressSwitch } from './masquerade-watch.ts';
import { createTokenKeys } from './token-keys.ts';

export interface PodAuthenticationParts {
  readonly config: ClusterControllerConfig;
  readonly cluster: Cluster;
  readonly pods: PodDirectory;
  /** Ends the streams of a pod, `namespace/name`. */
  readonly disconnect: (pod: string, reason: string) => void;
  readonly metrics: Metrics;
  readonly log: Logger;
  readonly sleep: (milliseconds: number) => Promise<void>;
}

/** Who may come, as this control plane is configured: pods with tokens of their own, from where they are. */
export function createPodAuthentication(parts: PodAuthenticationParts): AuthenticatePod {
  const { config, cluster, pods, disconnect, metrics, log, sleep } = parts;
  const { injection, verifyPeerAddress = true } = config.kubernetes;
  const waits = metrics.histogram(
    'tulle_pod_address_wait_seconds',
    'Sidecars that were there before their address was told',
  );
  const onAnswer = createMasqueradeWatch({ log, now: Date.now });
  const onConfirmation = (pod: string, address: string): void => onAnswer({ kind: 'ok', pod, address });
  const onContradiction = (pod: string, address: string, reason: string): void => {
    log.error('a token that had counted came from elsewhere', { pod, reason });
    onAnswer({ kind: 'foreign', pod, address });
    disconnect(pod, reason);
  };
  if (!verifyPeerAddress) log.warn('tokens of pods count from any address', { because: peerAddressSwitch });
  return createClusterTokenAuthentication({
    keys: createTokenKeys({ cluster, audience: tokenAudience, log, now: Date.now }),
    ...{ pods, trustDomain: config.mesh.trustDomain, verifyPeerAddress, onAnswer, now: Date.now, sleep },
    onWait: (milliseconds) => waits.observe(milliseconds / 1000),
    ...(injection.fastStart === true && {
      firstAddresses: createFirstAddresses({ pods, onConfirmation, onContradiction }),
    }),
  });
}
