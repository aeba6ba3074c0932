import { createHash, randomBytes } from 'node:crypto';
import { type CertificateAndKey, createIssuer, createRoot, type Issuer, type LeafNames } from './certificate.ts';
import type { Clock } from './clock.ts';
import { type CertStore, StoreConflict } from './store.ts';

interface Root extends CertificateAndKey {
  readonly id: string;
  readonly name: string;
}

/**
 * Where a change of the root stands (DECISIONS I3). `steady`: one root. `announced`: a second root is trusted and signs
 * nothing yet. `switched`: the second root signs, the first is still trusted.
 */
export type RotationStep = 'steady' | 'announced' | 'switched';

interface AuthorityState {
  readonly version: 1;
  /** The one that signs first; the other, if any, is on its way in or out. */
  readonly roots: readonly [Root, ...Root[]];
  readonly step: RotationStep;
  /** When the step was reached. */
  readonly since: number;
}

export interface IssuedCertificate extends CertificateAndKey {
  /** The root that signed it. */
  readonly issuer: string;
}

export interface AuthorityOptions {
  readonly store: CertStore;
  readonly clock: Clock;
  /** For people: `cluster.local`. */
  readonly name: string;
  readonly rootLifetime?: number;
}

/** The mesh's own certificate authority. Its key never leaves it and its store. */
export interface CertificateAuthority {
  /** All roots to be trusted now, PEM. */
  bundle(): string;
  /** The root that signs now. */
  issuer(): { readonly id: string; readonly notBefore: number; readonly notAfter: number };
  rotation(): { readonly step: RotationStep; readonly since: number };
  issue(names: LeafNames, lifetime: number): IssuedCertificate;
  /** Takes the next of the three steps and keeps it before anybody learns of it. */
  rotate(): Promise<RotationStep>;
  /** Takes over what others that share the store have written; true when it was something new. What was lost is put back. */
  reload(): Promise<boolean>;
  /** Calls back after each step, until the returned function is called. */
  subscribe(listener: () => void): () => void;
}

const fileName = 'authority.json';
const tenYears = 3650 * 86_400_000;
const maxAttempts = 10;

/**
 * Opens the authority that the store holds, or makes one. A store that can't be read is an error: a new root in its
 * place would cut off every proxy that trusts the old one. Of several that find nothing at once, one makes it, and the
 * others take that.
 */
export async function openAuthority(options: AuthorityOptions): Promise<CertificateAuthority> {
  const { store, clock, name, rootLifetime = tenYears } = options;
  const listeners = new Set<() => void>();
  let current = await open();
  const issuers = new WeakMap<Root, Issuer>();

  function newRoot(): Root {
    const from = clock.now();
    // Two roots must not have one name: whoever checks a chain finds its root by name first.
    const rootName = `${name.slice(0, 44)} ${new Date(from).toISOString().slice(0, 10)} ${randomBytes(4).toString('hex')}`;
    const root = createRoot(rootName, { from, lifetime: rootLifetime });
    return { ...root, name: rootName, id: createHash('sha256').update(root.certificate).digest('hex').slice(0, 16) };
  }

  async function open(): Promise<AuthorityState> {
    for (let attempt = 1; ; attempt++) {
      const kept = await load();
      if (kept && kept.roots[0].notAfter > clock.now()) return kept;
      const made: AuthorityState = { version: 1, roots: [newRoot()], step: 'steady', since: clock.now() };
      try {
        await keep(made);
        return made;
      } catch (error) {
        if (!(error instanceof StoreConflict) || attempt === maxAttempts) throw error;
      }
    }
  }

  async function load(): Promise<AuthorityState | undefined> {
    const kept = await store.read(fileName);
    return kept && decodeState(kept);
  }

  async function reload(): Promise<boolean> {
    const kept = await load();
    // An empty store is no reason to forget a root that every proxy trusts: it gets it back.
    if (!kept) await keep(current);
    if (!kept || JSON.stringify(kept) === JSON.stringify(current)) return false;
    adopt(kept);
    return true;
  }

  function adopt(next: AuthorityState): void {
    current = next;
    for (const listener of listeners) listener();
  }

  async function keep(next: AuthorityState): Promise<void> {
    await store.write(fileName, Buffer.from(JSON.stringify(next)));
  }

  function nextState({ roots, step }: AuthorityState): AuthorityState {
    const since = clock.now();
    const [first, second] = roots;
    if (step === 'steady' || !second) return { version: 1, roots: [first, newRoot()], step: 'announced', since };
    if (step === 'announced') return { version: 1, roots: [second, first], step: 'switched', since };
    return { version: 1, roots: [first], step: 'steady', since };
  }

  return {
    bundle: () => current.roots.map(({ certificate }) => certificate).join(''),
    issuer: () => current.roots[0],
    rotation: () => ({ step: current.step, since: current.since }),
    issue(names, lifetime) {
      const [root] = current.roots;
      const from = clock.now();
      // A leaf that outlives its root would look valid and be refused.
      const longest = Math.max(1000, root.notAfter - from);
      const issuer = issuers.get(root) ?? createIssuer(root, root.name);
      issuers.set(root, issuer);
      const leaf = issuer.issue(names, { from, lifetime: Math.min(lifetime, longest) });
      return { ...leaf, issuer: root.id };
    },
    async rotate() {
      const next = nextState(current);
      try {
        await keep(next);
      } catch (error) {
        if (!(error instanceof StoreConflict)) throw error;
        // Another one took the step.
        await reload();
        return current.step;
      }
      adopt(next);
      return next.step;
    },
    reload,
    subscribe(listener) {
      listeners.add(listener);
      return () => listeners.delete(listener);
    },
  };
}

function decodeState(bytes: Buffer): AuthorityState {
  const state = JSON.parse(bytes.toString('utf8')) as Partial<AuthorityState> | null;
  const { version, roots } = state ?? {};
  if (version !== 1 || !Array.isArray(roots) || roots.length === 0) {
    throw new Error(`${fileName} does not hold a certificate authority of this version`);
  }
  return state as AuthorityState;
}
