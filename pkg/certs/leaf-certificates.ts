import { createHash } from 'node:crypto';
import type { CertificateAuthority, IssuedCertificate } from './authority.ts';
import type { LeafNames } from './certificate.ts';
import type { Clock } from './clock.ts';
import type { CertStore } from './store.ts';

export interface LeafCertificatesOptions {
  readonly authority: CertificateAuthority;
  readonly clock: Clock;
  readonly random: () => number;
  /** Milliseconds. */
  readonly lifetime: number;
  /** What a certificate for an owner says. */
  readonly namesOf: (owner: string) => LeafNames;
  /** Certificates survive a restart in it, so that nobody is sent a new one for the restart alone. */
  readonly store?: CertStore;
  readonly onError: (error: unknown) => void;
}

/** The certificates in use, each renewed before it expires. */
export interface LeafCertificates {
  /** Issued when first asked for; never an expired one. */
  of(owner: string): IssuedCertificate;
  /** Calls back with the owner of each renewed certificate, until the returned function is called. */
  subscribe(listener: (owner: string) => void): () => void;
  /** Forgets the certificates of all others. */
  retain(wanted: (owner: string) => boolean): void;
  close(): void;
}

interface Entry {
  readonly owner: string;
  readonly certificate: IssuedCertificate;
  readonly renewAt: number;
}

/**
 * Keeps one certificate per owner: renewed at about 2/3 of its life (DECISIONS I2), a little earlier by chance so that a
 * thousand issued at once are not renewed at once, and soon after the authority signs with a new root.
 */
export async function openLeafCertificates(options: LeafCertificatesOptions): Promise<LeafCertificates> {
  const { authority, clock, random, lifetime, namesOf, store, onError } = options;
  const entries = new Map<string, Entry>();
  const timers = new Map<string, () => void>();
  const listeners = new Set<(owner: string) => void>();
  let writes: Promise<unknown> = Promise.resolve();

  function issue(owner: string): Entry {
    const certificate = authority.issue(namesOf(owner), lifetime);
    const entry = { owner, certificate, renewAt: clock.now() + lifetime * (2 / 3 - random() / 10) };
    adopt(entry);
    keep(() => store?.write(fileOf(owner), Buffer.from(JSON.stringify(entry))));
    return entry;
  }

  function adopt(entry: Entry): void {
    entries.set(entry.owner, entry);
    renewAt(entry.owner, entry.renewAt);
  }

  function renewAt(owner: string, time: number): void {
    timers.get(owner)?.();
    timers.set(
      owner,
      clock.at(time, () => renew(owner)),
    );
  }

  function renew(owner: string): void {
    try {
      issue(owner);
    } catch (error) {
      onError(error);
      renewAt(owner, clock.now() + lifetime / 30);
      return;
    }
    for (const listener of listeners) listener(owner);
  }

  /** One after the other: two writes of one file must not overtake each other. */
  function keep(change: () => Promise<unknown> | undefined): void {
    writes = writes.then(change).catch(onError);
  }

  async function load(from: CertStore): Promise<void> {
    const trusted = authority.issuer().id;
    for (const name of await from.list('leaf-')) {
      const entry = decodeEntry(await from.read(name));
      // What is due, or signed by another root than the one that signs now, is issued again when it is asked for.
      if (entry && entry.renewAt > clock.now() && entry.certificate.issuer === trusted) adopt(entry);
      else await from.remove(name);
    }
  }

  const unsubscribe = authority.subscribe(() => {
    const { id } = authority.issuer();
    for (const { owner, certificate } of entries.values()) {
      if (certificate.issuer !== id) renewAt(owner, clock.now() + random() * Math.min(lifetime / 6, 30_000));
    }
  });
  if (store) await load(store);

  return {
    of(owner) {
      const entry = entries.get(owner);
      // A timer may be late: the machine slept.
      return entry && entry.certificate.notAfter > clock.now() ? entry.certificate : issue(owner).certificate;
    },
    subscribe(listener) {
      listeners.add(listener);
      return () => listeners.delete(listener);
    },
    retain(wanted) {
      for (const owner of [...entries.keys()]) {
        if (wanted(owner)) continue;
        entries.delete(owner);
        timers.get(owner)?.();
        timers.delete(owner);
        keep(() => store?.remove(fileOf(owner)));
      }
    },
    close() {
      unsubscribe();
      for (const cancel of timers.values()) cancel();
      timers.clear();
    },
  };
}

function fileOf(owner: string): string {
  return `leaf-${createHash('sha256').update(owner).digest('hex').slice(0, 32)}.json`;
}

function decodeEntry(bytes: Buffer | undefined): Entry | undefined {
  try {
    const entry = JSON.parse(bytes?.toString('utf8') ?? '') as Entry;
    return typeof entry.owner === 'string' && typeof entry.certificate.certificate === 'string' ? entry : undefined;
  } catch {
    return undefined;
  }
}
