import { createHash, createPrivateKey, X509Certificate } from 'node:crypto';
import type { CertificateAuthority, IssuedCertificate, RotationStep } from './authority.ts';
import { createIssuerNamed, type Issuer } from './certificate.ts';
import type { Clock } from './clock.ts';
import { readCertificateNames } from './der-reader.ts';

/** A CA that somebody else keeps: the keys of a Secret of type `kubernetes.io/tls`, as cert-manager writes it. */
export interface GivenCa {
  /** `tls.crt`, PEM: the certificate that signs, and after it those between it and the root, if any. */
  readonly certificate: string;
  /** `tls.key`, PEM. */
  readonly privateKey: string;
  /** `ca.crt`, PEM: the roots to be trusted. Absent: the certificate itself, which is a root then. */
  readonly roots?: string;
}

export interface GivenAuthorityOptions {
  readonly read: () => Promise<GivenCa>;
  readonly clock: Clock;
  /** Milliseconds between the trust in another root and the first certificate that it signs. */
  readonly announce: number;
}

interface Signer {
  readonly id: string;
  readonly issuer: Issuer;
  /** What a leaf needs after it to reach a root. */
  readonly intermediates: string;
  readonly roots: readonly string[];
  readonly notBefore: number;
  readonly notAfter: number;
}

/** Roots that were replaced and are still trusted: leaves that they signed are in use. */
const maxRoots = 4;

/**
 * An authority whose root is not ours to change: it is read, checked, and followed when it is replaced. A new root is
 * trusted at once and signs a while later; the old one stays trusted until the next start (DECISIONS I3, I5).
 */
export async function openGivenAuthority(options: GivenAuthorityOptions): Promise<CertificateAuthority> {
  const { read, clock, announce } = options;
  const listeners = new Set<() => void>();
  let signer = toSigner(await read(), clock.now());
  let next: Signer | undefined;
  let roots: readonly string[] = signer.roots;
  let step: RotationStep = 'steady';
  let since = clock.now();

  function changed(to: RotationStep): void {
    step = to;
    since = clock.now();
    for (const listener of listeners) listener();
  }

  async function reload(): Promise<boolean> {
    const found = toSigner(await read(), clock.now());
    if (found.id === (next ?? signer).id && found.roots.every((root) => roots.includes(root))) return false;
    next = found;
    roots = [...new Set([...found.roots, ...roots])].slice(0, maxRoots);
    clock.at(clock.now() + announce, () => {
      if (next !== found) return;
      signer = found;
      next = undefined;
      changed('switched');
    });
    changed('announced');
    return true;
  }

  return {
    bundle: () => roots.join(''),
    issuer: () => signer,
    rotation: () => ({ step, since }),
    issue(names, lifetime): IssuedCertificate {
      const from = clock.now();
      const longest = Math.max(1000, signer.notAfter - from);
      const leaf = signer.issuer.issue(names, { from, lifetime: Math.min(lifetime, longest) });
      return { ...leaf, certificate: `${leaf.certificate}${signer.intermediates}`, issuer: signer.id };
    },
    async rotate() {
      await reload();
      return step;
    },
    reload,
    subscribe(listener) {
      listeners.add(listener);
      return () => listeners.delete(listener);
    },
  };
}

/** Checks what was given; throws an error that says which key of the Secret is wrong, and how. */
function toSigner({ certificate, privateKey, roots }: GivenCa, now: number): Signer {
  const chain = toCertificates('tls.crt', certificate);
  const [own] = chain;
  if (!own) throw new Error('tls.crt holds no certificate');
  const key = readKey(privateKey);
  const { ca, validTo, validFrom, raw } = own;
  if (!ca) throw new Error('tls.crt is no CA certificate: basicConstraints must say CA:TRUE');
  if (!own.checkPrivateKey(key)) throw new Error('tls.key is not the key of tls.crt');
  if (key.asymmetricKeyType !== 'ec' && key.asymmetricKeyType !== 'rsa') {
    throw new Error(`tls.key is of type ${key.asymmetricKeyType}; ECDSA and RSA sign certificates that Envoy takes`);
  }
  const notAfter = Date.parse(validTo);
  if (notAfter <= now) throw new Error(`tls.crt has expired at ${validTo}`);
  const { subject, issuer, keyId } = readCertificateNames(raw);
  const isRoot = subject.equals(issuer);
  const trusted = roots === undefined || roots.trim() === '' ? [] : toCertificates('ca.crt', roots);
  if (trusted.length === 0 && !isRoot) {
    throw new Error('tls.crt is signed by another certificate: put the root into ca.crt');
  }
  return {
    id: createHash('sha256').update(own.toString()).digest('hex').slice(0, 16),
    issuer: createIssuerNamed({ name: subject, signingKey: key, ...(keyId ? { keyId } : {}) }),
    intermediates: isRoot ? '' : chain.map(String).join(''),
    roots: (trusted.length > 0 ? trusted : [own]).map(String),
    notBefore: Date.parse(validFrom),
    notAfter,
  };
}

/** `tls.key`, without anything of it in an error. */
function readKey(pem: string): ReturnType<typeof createPrivateKey> {
  try {
    return createPrivateKey(pem);
  } catch {
    throw new Error('tls.key holds no private key that can be read (PEM, not encrypted)');
  }
}

function toCertificates(name: string, pem: string): X509Certificate[] {
  const blocks = pem.match(/-----BEGIN CERTIFICATE-----[^-]+-----END CERTIFICATE-----/g) ?? [];
  if (blocks.length === 0) throw new Error(`${name} holds no certificate (PEM)`);
  return blocks.map((block) => {
    try {
      return new X509Certificate(block);
    } catch {
      throw new Error(`${name} holds a certificate that can't be read`);
    }
  });
}
