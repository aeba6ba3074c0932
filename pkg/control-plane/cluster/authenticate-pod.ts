import type { PodTokenClaims } from '../../certs/pod-tokens.ts';
import { toServiceIdentity, type TrustDomain } from '../../policy/identity.ts';
import type { Authentication, AuthenticationRequest } from '../../xds/ads-server.ts';
import type { FirstAddresses } from './first-addresses.ts';
import { toAddress } from './ip-address.ts';
import type { TokenKeys } from './token-keys.ts';

/** What must be known of a pod to believe a token that is bound to it. */
export interface KnownPod {
  readonly uid: string;
  readonly ips: readonly string[];
  readonly serviceAccount: string;
  /** It is on a node, with an app that waits for its sidecar before the kubelet tells any address (record 0010). */
  readonly startsFast?: boolean;
}

/** The pods of the cluster, as the provider follows them. */
export interface KnownPods {
  find(namespace: string, name: string): KnownPod | undefined;
  /** Asks the API server. */
  lookUp(namespace: string, name: string): Promise<KnownPod | undefined>;
}

export interface PodAuthenticationOptions {
  readonly keys: TokenKeys;
  readonly pods: KnownPods;
  readonly trustDomain: string;
  /** False: a token counts wherever it comes from, for clusters that masquerade the addresses of pods. */
  readonly verifyPeerAddress?: boolean;
  /** Given: a pod that starts fast is believed to be where its token came from first, until its address is told. */
  readonly firstAddresses?: FirstAddresses;
  /** Told of each answer, as far as addresses go. */
  readonly onAnswer?: (answer: AddressAnswer) => void;
  /** Milliseconds. */
  readonly now: () => number;
  readonly sleep: (milliseconds: number) => Promise<void>;
  /** How long a sidecar had to wait for its pod's address, in milliseconds. */
  readonly onWait?: (milliseconds: number) => void;
}

/** `ok`: who it said. `foreign`: all was right but the address. `other`: refused for another reason. */
export interface AddressAnswer {
  readonly kind: 'ok' | 'foreign' | 'other';
  readonly pod: string;
  readonly address: string;
}

export interface PodAuthenticationRequest {
  readonly token: string | undefined;
  /** Address of the other end of the connection, without its port. */
  readonly peer: string;
  /** Told when its pod's address must be waited for. */
  readonly onNamed?: AuthenticationRequest['onNamed'];
}

export type AuthenticatePod = (request: PodAuthenticationRequest) => Promise<Authentication>;

/**
 * The kubelet reports a pod's address somewhat after it has started its first container: a sidecar may be quicker, and
 * waits so long. Sixty pods that start at once on one busy node wait 20 s on average, some over 30; a sidecar that is
 * refused meanwhile would try again, ever later.
 */
const longestWait = 120_000;
/** What the watch tells is looked at often at first, when it is about to come; the API server is asked seldom. */
const glance = 25;
const laterGlance = 200;
const late = 2_000;
const look = 5_000;

/**
 * Identity is the token's alone, and the token counts for its living pod only (DECISIONS I4): same uid and account, sent
 * from an address of the pod. A pod that is not known yet, or known under another uid, is looked up once.
 */
export function createClusterTokenAuthentication(options: PodAuthenticationOptions): AuthenticatePod {
  const { keys, pods, trustDomain, verifyPeerAddress = true, firstAddresses, onAnswer, now, sleep, onWait } = options;

  async function find({ namespace, pod: { name, uid } }: PodTokenClaims): Promise<KnownPod | undefined> {
    const known = pods.find(namespace, name);
    return known?.uid === uid ? known : pods.lookUp(namespace, name);
  }

  /** As much is known of where it is as can be waited for. */
  const isPlaced = ({ ips, startsFast }: KnownPod): boolean =>
    ips.length > 0 || (firstAddresses !== undefined && startsFast === true);

  /** Those whose address is waited for: once for each pod, however many ask. */
  const waiting = new Map<string, Promise<KnownPod>>();

  /** The same pod once it has its place, or as it was last. */
  function withPlace(first: KnownPod, claims: PodTokenClaims): Promise<KnownPod> {
    const key = `${claims.namespace}/${claims.pod.name}/${first.uid}`;
    const known = waiting.get(key);
    if (known) return known;
    const wait = waitFor(first, claims).finally(() => waiting.delete(key));
    waiting.set(key, wait);
    return wait;
  }

  async function waitFor(first: KnownPod, { namespace, pod: { name } }: PodTokenClaims): Promise<KnownPod> {
    const start = now();
    let pod = first;
    for (let looked = start; !isPlaced(pod) && now() - start < longestWait;) {
      await sleep(now() - start < late ? glance : laterGlance);
      let found = pods.find(namespace, name);
      if (now() - looked >= look) {
        looked = now();
        const asked = await pods.lookUp(namespace, name).then(toAnswer, () => undefined);
        // It is gone, or another one has its name.
        if (asked && asked.pod?.uid !== first.uid) break;
        found = asked?.pod;
      }
      if (found?.uid === first.uid) pod = found;
    }
    onWait?.(now() - start);
    return pod;
  }

  return async ({ token, peer, onNamed = () => true }) => {
    if (token === undefined || token === '') return { ok: false, reason: 'no bearer token' };
    const verdict = await keys.verify(token);
    if (!verdict.ok) return verdict;
    const { claims, expiresAt } = verdict;
    const { namespace, serviceAccount } = claims;
    const name = `${namespace}/${claims.pod.name}`;
    const address = toAddress(peer);
    const tell = (kind: AddressAnswer['kind']): void => onAnswer?.({ kind, pod: name, address: address ?? '' });
    const refuse = (reason: string, kind: 'foreign' | 'other' = 'other'): Authentication => {
      tell(kind);
      return { ok: false, reason };
    };

    let found: KnownPod | undefined;
    try {
      found = await find(claims);
    } catch (error) {
      return refuse(`pod ${name} could not be looked up: ${(error as Error).message}`);
    }
    if (!found) return refuse(`pod ${name} is gone`);
    if (found.uid !== claims.pod.uid) return refuse(`the token is of an earlier pod ${name}`);
    if (found.serviceAccount !== serviceAccount) return refuse(`pod ${name} runs as another account`);
    const identity = toServiceIdentity(trustDomain as TrustDomain, { namespace, name: serviceAccount });
    const client = { identity, pod: name };
    if (verifyPeerAddress) {
      if (!isPlaced(found) && !onNamed(client)) return refuse(`too many of pod ${name} wait for its address`);
      const { ips, startsFast } = isPlaced(found) ? found : await withPlace(found, claims);
      if (address !== undefined && ips.length === 0 && firstAddresses && startsFast) {
        const why = firstAddresses.claim({ namespace, ...claims.pod }, address);
        if (why !== undefined) return refuse(why, 'foreign');
        // Whether it is the pod's is told later.
        return { ok: true, client, expiresAt };
      }
      if (ips.length === 0) return refuse(`pod ${name} has no address yet`);
      if (address === undefined || !ips.some((ip) => toAddress(ip) === address)) {
        const from = address ?? 'an unknown address';
        return refuse(`the token of pod ${name} (${ips.join(', ')}) came from ${from}`, 'foreign');
      }
    }
    tell('ok');
    return { ok: true, client, expiresAt };
  };
}

const toAnswer = (pod: KnownPod | undefined): { readonly pod: KnownPod | undefined } => ({ pod });
