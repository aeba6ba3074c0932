import {
  createLocalJWKSet,
  errors,
  exportJWK,
  generateKeyPair,
  importJWK,
  type JSONWebKeySet,
  type JWK,
  type JWTPayload,
  type JWTVerifyOptions,
  jwtVerify,
  SignJWT,
} from 'jose';

/** Who a token speaks for (DECISIONS I4). */
export interface TokenClaims {
  readonly namespace: string;
  readonly serviceAccount: string;
  /** `namespace/name` of the pod that it is bound to; absent for a client that serves nothing. */
  readonly pod?: string;
}

export type TokenVerdict =
  | { readonly ok: true; readonly claims: TokenClaims; readonly expiresAt: number }
  | { readonly ok: false; readonly reason: string };

export interface TokenAudience {
  readonly audience: string;
  readonly issuer: string;
}

/** Of the supervisor of a mesh on one machine. */
const localTokens: TokenAudience = { audience: 'tulle', issuer: 'tulle-local' };

export interface TokenKeyPair {
  /** Signs: for its holder alone. */
  readonly privateKey: JWK;
  /** Verifies: what control/token.pub.json holds. */
  readonly publicKeys: JSONWebKeySet;
}

const algorithm = 'ES256';
const podClaim = 'tulle.dev/pod';
const longestToken = 8192;
/** Seconds by which clocks may differ. */
const tolerance = 5;
/** Seconds. */
const maxTokenLifetime = 3600;

export async function createTokenKey(): Promise<TokenKeyPair> {
  const { privateKey, publicKey } = await generateKeyPair(algorithm, { extractable: true });
  const publicJwk = await exportJWK(publicKey);
  const kid = `${publicJwk.x}`.slice(0, 8);
  return {
    privateKey: { ...(await exportJWK(privateKey)), kid, alg: algorithm },
    publicKeys: { keys: [{ ...publicJwk, kid, alg: algorithm, use: 'sig' }] },
  };
}

export interface IssueOptions extends Partial<TokenAudience> {
  readonly now: number;
  /** Seconds, an hour at most. */
  readonly lifetime: number;
}

export async function issueToken(key: JWK, claims: TokenClaims, options: IssueOptions): Promise<string> {
  const { now, lifetime, audience = localTokens.audience, issuer = localTokens.issuer } = options;
  const issuedAt = Math.floor(now / 1000);
  return new SignJWT(claims.pod === undefined ? {} : { [podClaim]: claims.pod })
    .setProtectedHeader({ alg: algorithm, ...(key.kid === undefined ? {} : { kid: key.kid }) })
    .setSubject(`system:serviceaccount:${claims.namespace}:${claims.serviceAccount}`)
    .setAudience(audience)
    .setIssuer(issuer)
    .setIssuedAt(issuedAt)
    .setExpirationTime(issuedAt + Math.min(lifetime, maxTokenLifetime))
    .sign(await importJWK(key, algorithm));
}

/** Verifies tokens offline: signature, algorithm, audience, issuer, times, and the form of what they claim. */
export function createTokenVerifier(
  keys: JSONWebKeySet,
  expected: TokenAudience = localTokens,
): (token: string, now: number) => Promise<TokenVerdict> {
  const options = { ...expected, algorithms: [algorithm], maxTokenAge: maxTokenLifetime };
  return createVerifier(keys, options, ({ sub = '', exp = 0, [podClaim]: pod }) => toVerdict(sub, exp, pod));
}

/** Verifies what every token must have; what it claims is the caller's to judge. */
export function createVerifier<V>(
  keys: JSONWebKeySet,
  options: Required<Pick<JWTVerifyOptions, 'audience' | 'issuer' | 'algorithms'>> &
    Pick<JWTVerifyOptions, 'maxTokenAge'>,
  judge: (payload: JWTPayload) => V,
): (token: string, now: number) => Promise<V | { readonly ok: false; readonly reason: string }> {
  const keySet = createLocalJWKSet(keys);
  return async (token, now) => {
    if (token.length > longestToken) return { ok: false, reason: 'the token is too long' };
    try {
      const { payload } = await jwtVerify(token, keySet, {
        ...options,
        requiredClaims: ['sub', 'exp', 'iat'],
        clockTolerance: tolerance,
        currentDate: new Date(now),
      });
      return judge(payload);
    } catch (error) {
      return { ok: false, reason: toReason(error) };
    }
  };
}

function toVerdict(subject: string, expires: number, pod: unknown): TokenVerdict {
  const [, namespace, serviceAccount] = /^system:serviceaccount:([a-z0-9-]+):([a-z0-9.-]+)$/.exec(subject) ?? [];
  if (namespace === undefined || serviceAccount === undefined)
    return { ok: false, reason: 'the token names no account' };
  const expiresAt = expires * 1000;
  if (pod === undefined) return { ok: true, claims: { namespace, serviceAccount }, expiresAt };
  if (typeof pod !== 'string' || !pod.startsWith(`${namespace}/`)) {
    return { ok: false, reason: 'the token is bound to a pod of another namespace' };
  }
  return { ok: true, claims: { namespace, serviceAccount, pod }, expiresAt };
}

/** A reason of refusal after which newer keys are worth a look. */
export const unknownKey = 'the token is signed by an unknown key';

/** What was wrong, without anything of the token itself. */
function toReason(error: unknown): string {
  if (error instanceof errors.JWTExpired) return 'the token has expired';
  if (error instanceof errors.JWTClaimValidationFailed) return `the token is not for this: claim ${error.claim}`;
  if (error instanceof errors.JWKSNoMatchingKey) return unknownKey;
  if (error instanceof errors.JWSSignatureVerificationFailed) return 'the signature of the token is wrong';
  return 'the token is malformed';
}
