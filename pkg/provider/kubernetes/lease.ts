import { applyObject, fieldManager, type WrittenObject } from './apply-object.ts';
import type { Cluster } from './cluster.ts';

interface LeaseSpec {
  readonly holderIdentity?: string | null;
  readonly leaseDurationSeconds?: number | null;
  readonly acquireTime?: string | null;
  readonly renewTime?: string | null;
  readonly leaseTransitions?: number | null;
}

interface Lease extends WrittenObject {
  readonly apiVersion: string;
  readonly kind: string;
  readonly spec?: LeaseSpec | null;
}

export interface LeaseOptions {
  readonly cluster: Cluster;
  readonly namespace: string;
  readonly name: string;
  /** Unique: the name of the pod and something random. */
  readonly identity: string;
  /** An object of the same namespace: when it is deleted, the lease is. */
  readonly owner?:
    { readonly apiVersion: string; readonly kind: string; readonly name: string; readonly uid: string } | undefined;
  /** Lets go of the lease when it is aborted. */
  readonly signal: AbortSignal;
  /**
   * Called each time that the lease is won, with a signal that is aborted when it is lost or let go of. What the leader
   * does must end with it.
   */
  readonly lead: (signal: AbortSignal) => void;
  readonly onError?: (error: unknown) => void;
  /** Milliseconds after which another may take a lease that was not renewed; 15 s. */
  readonly duration?: number;
  /** Milliseconds between two renewals, and between two looks at another's; 2 s. */
  readonly interval?: number;
  /** Milliseconds; only goes forward. */
  readonly now?: () => number;
  /** Ends early when the signal is aborted; never rejects. */
  readonly sleep: (milliseconds: number, signal: AbortSignal) => Promise<void>;
}

/** Who may write: one of all replicas, by a Lease of coordination.k8s.io/v1. */
export interface LeaderElection {
  isLeader(): boolean;
  /** Settles when the lease has been let go of. Never rejects. */
  readonly done: Promise<void>;
}

/**
 * Follows a Lease as client-go's leaderelection does: times are never compared between machines. A lease counts as
 * abandoned when *we* have seen no change of it for its whole duration. The leader stops at 2/3 of that without a
 * renewal, before anybody else may begin.
 */
export function runLease(options: LeaseOptions): LeaderElection {
  const { cluster, namespace, name, identity, owner, signal, lead, onError, sleep } = options;
  const { duration = 15_000, interval = 2_000, now = () => performance.now() } = options;
  const path = `/apis/coordination.k8s.io/v1/namespaces/${namespace}/leases/${name}`;
  let term: AbortController | undefined;
  let deadline: NodeJS.Timeout | undefined;
  let seen: { readonly version: string | undefined; readonly at: number } | undefined;

  const isOurs = (lease: Lease): boolean => lease.spec?.holderIdentity === identity;

  async function read(): Promise<Lease> {
    // An empty one is made where there is none; the fields of the spec are nobody's by that.
    const body = { apiVersion: 'coordination.k8s.io/v1', kind: 'Lease', metadata: { name, namespace } };
    try {
      return await cluster.request<Lease>('GET', path, { timeoutMs: interval * 2, signal });
    } catch (error) {
      if ((error as { status?: number }).status !== 404) throw error;
      return applyObject<Lease>(cluster, path, body, signal);
    }
  }

  async function write(lease: Lease, spec: LeaseSpec): Promise<Lease> {
    const query = { fieldManager };
    const metadata = { ...lease.metadata, ...(owner ? { ownerReferences: [owner] } : {}) };
    const body = { ...lease, metadata, spec };
    return cluster.request<Lease>('PUT', path, { query, body, timeoutMs: interval * 2, signal });
  }

  function isFree({ spec, metadata: { resourceVersion: version } }: Lease): boolean {
    if (seen === undefined || seen.version !== version) seen = { version, at: now() };
    const { holderIdentity: holder, leaseDurationSeconds } = spec ?? {};
    if (holder === undefined || holder === null || holder === '') return true;
    return now() - seen.at >= (leaseDurationSeconds ?? duration / 1000) * 1000;
  }

  async function attempt(): Promise<void> {
    const asked = now();
    const lease = await read();
    if (!isOurs(lease) && !isFree(lease)) {
      resign();
      return;
    }
    const time = new Date().toISOString().replace('Z', '000Z');
    const { acquireTime, leaseTransitions } = lease.spec ?? {};
    const mine = isOurs(lease);
    await write(lease, {
      holderIdentity: identity,
      leaseDurationSeconds: Math.ceil(duration / 1000),
      acquireTime: mine ? (acquireTime ?? time) : time,
      renewTime: time,
      leaseTransitions: (leaseTransitions ?? 0) + (mine ? 0 : 1),
    });
    hold(asked);
  }

  function hold(asked: number): void {
    clearTimeout(deadline);
    if (signal.aborted) return;
    deadline = setTimeout(resign, Math.max(0, (duration * 2) / 3 - (now() - asked)));
    if (term) return;
    term = new AbortController();
    lead(term.signal);
  }

  function resign(): void {
    clearTimeout(deadline);
    term?.abort();
    term = undefined;
  }

  async function letGo(): Promise<void> {
    resign();
    try {
      const lease = await cluster.request<Lease>('GET', path, { timeoutMs: 1000 });
      if (!isOurs(lease)) return;
      const time = new Date().toISOString().replace('Z', '000Z');
      const body = { ...lease, spec: { ...lease.spec, holderIdentity: '', leaseDurationSeconds: 1, renewTime: time } };
      await cluster.request('PUT', path, { query: { fieldManager }, body, timeoutMs: 1000 });
    } catch (error) {
      // Then it runs out by itself.
      onError?.(error);
    }
  }

  async function run(): Promise<void> {
    while (!signal.aborted) {
      try {
        await attempt();
      } catch (error) {
        // 409: another was quicker, which is how it should be.
        if ((error as { status?: number }).status !== 409 && !signal.aborted) onError?.(error);
      }
      await sleep(interval, signal);
    }
    await letGo();
  }

  return { isLeader: () => term !== undefined, done: run() };
}
