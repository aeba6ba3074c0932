import type { Logger } from '../../observability/logger.ts';
import type { AddressAnswer } from './authenticate-pod.ts';

export interface MasqueradeWatchOptions {
  readonly log: Logger;
  /** Milliseconds. */
  readonly now: () => number;
}

/** The chart's value, as people set it. */
export const peerAddressSwitch = 'controller.verifyPeerAddress';

const span = 60_000;
/** Fewer may be thieves, or pods that got another address. */
const enough = 3;
const quiet = 300_000;
const maxPods = 1_000;

/**
 * Some networks give what a pod sends the address of its node: then every token comes from another address than its
 * pod's. Says so, with the switch, when pods are refused for nothing but their addresses and none is
 * let in: where one is, the others' tokens may be stolen ones, and the switch would let the thieves in.
 */
export function createMasqueradeWatch({ log, now }: MasqueradeWatchOptions): (answer: AddressAnswer) => void {
  const pods = new Set<string>();
  const addresses = new Set<string>();
  let since = Number.NEGATIVE_INFINITY;
  let accepted = 0;
  let told = Number.NEGATIVE_INFINITY;

  return ({ kind, pod, address }) => {
    if (now() - since > span) {
      pods.clear();
      addresses.clear();
      accepted = 0;
      since = now();
    }
    if (kind === 'ok') accepted += 1;
    if (kind !== 'foreign' || pods.size >= maxPods) return;
    pods.add(pod);
    addresses.add(address);
    if (accepted > 0 || pods.size < enough || now() - told < quiet) return;
    told = now();
    log.error('pods are refused for nothing but the addresses that their tokens come from', {
      pods: pods.size,
      addresses: [...addresses].slice(0, 5),
      fix: `if this cluster masquerades the addresses of pods, set ${peerAddressSwitch}=false: a token that was stolen from a pod then counts wherever in the cluster it is shown`,
    });
  };
}
