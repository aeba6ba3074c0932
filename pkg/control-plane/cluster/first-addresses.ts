import type { PodDirectory, PodIdentity, RemovedPod } from '../../provider/kubernetes/directories.ts';
import { toAddress } from './ip-address.ts';

/** The living pods, as far as their addresses go. */
export interface AddressedPods extends Pick<PodDirectory, 'whose' | 'onAddress' | 'subscribe'> {
  find(namespace: string, name: string): Pick<PodIdentity, 'uid' | 'ips'> | undefined;
}

export interface FirstAddresses {
  /**
   * A token of a pod that starts fast, and whose address is not told yet, came from this one. Undefined: it counts, and so
   * does this address alone for as long as the pod's is not told. Otherwise why it doesn't.
   */
  readonly claim: (pod: RemovedPod, address: string) => string | undefined;
}

export interface FirstAddressesOptions {
  readonly pods: AddressedPods;
  /** What had come from an address that counted was the pod's: told once it is known. */
  readonly onConfirmation: (pod: string, address: string) => void;
  /** It was not. */
  readonly onContradiction: (pod: string, address: string, reason: string) => void;
}

/**
 * The kubelet tells the address of a pod once all of its containers were started, but a pod that starts fast has an app
 * that waits for its sidecar (record 0010). Until then its token, which is bound to it, counts from the address that it
 * came from first, unless that is known to be another's. When the address is told it is looked at again.
 */
export function createFirstAddresses({ pods, onConfirmation, onContradiction }: FirstAddressesOptions): FirstAddresses {
  /** By uid; an entry lives until the address is told or the pod is gone. */
  const claims = new Map<string, string>();

  function release(uid: string): string | undefined {
    const address = claims.get(uid);
    claims.delete(uid);
    return address;
  }

  pods.subscribe(({ uid }) => void release(uid));
  pods.onAddress(({ namespace, name, uid, ips }) => {
    const address = release(uid);
    if (address === undefined) return;
    const pod = `${namespace}/${name}`;
    if (isOneOf(ips, address)) onConfirmation(pod, address);
    else
      onContradiction(
        pod,
        address,
        `the token of pod ${pod} came from ${address}, and the pod is at ${ips.join(', ')}`,
      );
  });

  function isOneOf(ips: readonly string[], address: string): boolean {
    return ips.some((ip) => toAddress(ip) === address);
  }

  return {
    claim({ namespace, name, uid }, address) {
      const pod = `${namespace}/${name}`;
      const known = pods.find(namespace, name);
      if (known?.uid !== uid) return `pod ${pod} is gone`;
      if (known.ips.length > 0) {
        return isOneOf(known.ips, address)
          ? undefined
          : `the token of pod ${pod} (${known.ips.join(', ')}) came from ${address}`;
      }
      const first = claims.get(uid);
      if (first === address) return undefined;
      if (first !== undefined) return `the token of pod ${pod} came from ${address}, after it had come from ${first}`;
      const owner =
        pods.whose((ip) => toAddress(ip) === address) ??
        ([...claims.values()].includes(address) ? 'another pod that starts' : undefined);
      if (owner !== undefined) return `the token of pod ${pod}, which has no address yet, came from that of ${owner}`;
      claims.set(uid, address);
      return undefined;
    },
  };
}
