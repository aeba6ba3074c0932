import type { JSONWebKeySet } from 'jose';
import { createVerifier, type TokenAudience } from './tokens.ts';

/** Whom a ServiceAccount token of Kubernetes speaks for, and the pod that it is bound to (DECISIONS I4). */
export interface PodTokenClaims {
  readonly namespace: string;
  readonly serviceAccount: string;
  readonly pod: { readonly name: string; readonly uid: string };
}

export type PodTokenVerdict =
  | { readonly ok: true; readonly claims: PodTokenClaims; readonly expiresAt: number }
  | { readonly ok: false; readonly reason: string };

/** What API servers sign with: RS256 by default, ES256 with an EC key. */
const algorithms = ['RS256', 'ES256'];

/**
 * Verifies projected ServiceAccount tokens offline: signature, algorithm, audience, issuer, times, and the claim
 * `kubernetes.io` (KEP-1205). Whether the pod lives is not said by the token.
 */
export function createPodTokenVerifier(
  keys: JSONWebKeySet,
  expected: TokenAudience,
): (token: string, now: number) => Promise<PodTokenVerdict> {
  return createVerifier(keys, { ...expected, algorithms }, ({ sub = '', exp = 0, 'kubernetes.io': claim }) =>
    toVerdict(sub, exp, claim),
  );
}

function toVerdict(subject: string, expires: number, claim: unknown): PodTokenVerdict {
  const { namespace, serviceaccount, pod } = toRecord(claim);
  const { name: serviceAccount } = toRecord(serviceaccount);
  const { name, uid } = toRecord(pod);
  if (!isText(namespace) || !isText(serviceAccount)) return { ok: false, reason: 'the token names no account' };
  if (subject !== `system:serviceaccount:${namespace}:${serviceAccount}`) {
    return { ok: false, reason: 'the subject of the token is another account than its claim' };
  }
  if (!isText(name) || !isText(uid)) return { ok: false, reason: 'the token is bound to no pod' };
  return { ok: true, claims: { namespace, serviceAccount, pod: { name, uid } }, expiresAt: expires * 1000 };
}

const isText = (value: unknown): value is string => typeof value === 'string' && /^[a-z0-9.-]{1,253}$/.test(value);

function toRecord(value: unknown): Record<string, unknown> {
  return typeof value === 'object' && value !== null ? (value as Record<string, unknown>) : {};
}
