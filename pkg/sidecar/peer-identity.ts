import type { X509Certificate } from 'node:crypto';
import type { ServiceIdentity } from '../policy/identity.ts';
import { toServiceAccount } from '../policy/identity.ts';

/**
 * The SPIFFE identity in a certificate's subject alternative names, in the text form of Node
 * (`URI:spiffe://…, DNS:…`). A certificate with none, or with several URIs, names nobody (SPIFFE X.509-SVID §2).
 */
export function decodeIdentity(subjectAltName: string | undefined): ServiceIdentity | undefined {
  if (subjectAltName === undefined) return undefined;
  // Node quotes names with special characters; an identity of ours has none.
  const uris = subjectAltName.split(', ').filter((name) => name.startsWith('URI:'));
  const uri = uris[0]?.slice('URI:'.length);
  if (uris.length !== 1 || uri === undefined || !toServiceAccount(uri)) return undefined;
  return uri as ServiceIdentity;
}

/** Who is at the other end of a connection. */
export interface Peer {
  /** Absent: plaintext. */
  readonly identity?: ServiceIdentity;
  /** What `x-forwarded-client-cert` says of it; absent: plaintext. */
  readonly forwardedCert?: string;
}

/** `x-forwarded-client-cert` as Envoy writes it with `SANITIZE_SET` and `uri` (DECISIONS E12). */
export function toForwardedCert(own: string, peer: ServiceIdentity, certificate: X509Certificate): string {
  const hash = certificate.fingerprint256.replaceAll(':', '').toLowerCase();
  return `By=${own};Hash=${hash};URI=${peer}`;
}

/** `namespace/serviceaccount`, empty for nobody. */
export function toSourceName(identity: ServiceIdentity | undefined | ''): string {
  const account = identity ? toServiceAccount(identity) : undefined;
  return account ? `${account.namespace}/${account.name}` : '';
}
