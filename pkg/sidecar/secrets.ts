import { X509Certificate } from 'node:crypto';
import { createSecureContext } from 'node:tls';
import type { SecureContext, SecureContextOptions } from 'node:tls';
import type { ServiceIdentity } from '../policy/identity.ts';
import { decodeIdentity } from './peer-identity.ts';

/** Key and chain of this workload, PEM. */
export interface IdentitySecret {
  readonly privateKey: string;
  readonly certificateChain: string;
}

/** What TLS needs, of one moment. A rotation makes a new one; connections that are open keep theirs. */
export interface TlsMaterial {
  readonly identity: ServiceIdentity;
  /** For `tls.connect`. */
  readonly clientContext: SecureContext;
  /** For a `tls.Server`: its `setSecureContext` takes the ingredients, not a context. */
  readonly serverOptions: SecureContextOptions;
}

/** Holds the newest certificate and roots that can be used together (SDS `identity` and `roots`). */
export interface Secrets {
  readonly material: TlsMaterial | undefined;
  /** Both throw, with the old ones kept, when what came can't be used. */
  setIdentity(secret: IdentitySecret): void;
  setRoots(bundle: string): void;
  subscribe(listener: (material: TlsMaterial) => void): () => void;
}

export function createSecrets(): Secrets {
  const listeners = new Set<(material: TlsMaterial) => void>();
  let identity: IdentitySecret | undefined;
  let roots: string | undefined;
  let material: TlsMaterial | undefined;

  function adopt(nextIdentity: IdentitySecret | undefined, nextRoots: string | undefined): void {
    if (nextRoots !== undefined) new X509Certificate(nextRoots);
    const next = nextIdentity && nextRoots !== undefined ? toMaterial(nextIdentity, nextRoots) : undefined;
    identity = nextIdentity;
    roots = nextRoots;
    if (!next) return;
    material = next;
    for (const listener of listeners) listener(next);
  }

  return {
    get material() {
      return material;
    },
    setIdentity: (secret) => adopt(secret, roots),
    setRoots: (bundle) => adopt(identity, bundle),
    subscribe(listener) {
      listeners.add(listener);
      return () => listeners.delete(listener);
    },
  };
}

function toMaterial({ privateKey, certificateChain }: IdentitySecret, roots: string): TlsMaterial {
  const leaf = new X509Certificate(certificateChain);
  const identity = decodeIdentity(leaf.subjectAltName);
  if (identity === undefined) throw new Error('the certificate names no SPIFFE identity');
  // TLS 1.3 as minimum and maximum (DECISIONS I2).
  const serverOptions: SecureContextOptions = {
    key: privateKey,
    cert: certificateChain,
    ca: roots,
    minVersion: 'TLSv1.3',
    maxVersion: 'TLSv1.3',
  };
  return {
    identity,
    clientContext: createSecureContext(serverOptions),
    serverOptions,
  };
}
