import { createHash } from 'node:crypto';
import type { JSONWebKeySet } from 'jose';
import { createPodTokenVerifier, type PodTokenVerdict } from '../../certs/pod-tokens.ts';
import { unknownKey } from '../../certs/tokens.ts';
import type { Logger } from '../../observability/logger.ts';
import type { Cluster } from '../../provider/kubernetes/cluster.ts';

export interface TokenKeysOptions {
  readonly cluster: Pick<Cluster, 'request'>;
  readonly audience: string;
  readonly log: Logger;
  /** Milliseconds since 1970. */
  readonly now: () => number;
}

/** Verifies tokens against the keys that the API server signs with. */
export interface TokenKeys {
  /** Never rejects: keys that can't be read are a reason to refuse. */
  verify(token: string): Promise<PodTokenVerdict>;
}

type Verify = (token: string, now: number) => Promise<PodTokenVerdict>;

/** Milliseconds: the least between two readings, and the age after which they are read again in any case. */
const leastAge = 10_000;
const mostAge = 3_600_000;
/** After a failure the API server is asked again this much later, not for every token. */
const retryAge = 1_000;
const maxVerdicts = 10_000;
const requestMs = 5_000;

/**
 * Keys and issuer come from the API server's own discovery, and are read again when a token is signed by a key that is
 * not among them: at most once in 10 s, whoever sends what. A token that was verified is remembered by its hash until it
 * expires, for clients that send it with every request.
 */
export function createTokenKeys({ cluster, audience, log, now }: TokenKeysOptions): TokenKeys {
  const verdicts = new Map<string, PodTokenVerdict & { readonly ok: true }>();
  let verifier: Verify | undefined;
  let loadedAt = Number.NEGATIVE_INFINITY;
  let failedAt = Number.NEGATIVE_INFINITY;
  let loading: Promise<void> | undefined;

  async function load(): Promise<void> {
    try {
      const get = <T>(path: string, accept?: string): Promise<T> =>
        cluster.request<T>('GET', path, { timeoutMs: requestMs, ...(accept === undefined ? {} : { accept }) });
      const [{ issuer }, keys] = await Promise.all([
        get<{ issuer: string }>('/.well-known/openid-configuration'),
        get<JSONWebKeySet>('/openid/v1/jwks', 'application/jwk-set+json, application/json'),
      ]);
      verifier = createPodTokenVerifier(keys, { audience, issuer });
      verdicts.clear();
      loadedAt = now();
    } catch (error) {
      failedAt = now();
      log.error('the keys that verify the tokens of pods could not be read', { error });
    }
  }

  function reload(): Promise<void> {
    loading ??= load().finally(() => {
      loading = undefined;
    });
    return loading;
  }

  async function judge(token: string): Promise<PodTokenVerdict> {
    if (!verifier && now() - failedAt >= retryAge) await reload();
    if (!verifier) return { ok: false, reason: 'the keys that verify tokens could not be read from the API server' };
    if (now() - loadedAt > mostAge && now() - failedAt >= leastAge) void reload();
    const verdict = await verifier(token, now());
    const mayReload = now() - Math.max(loadedAt, failedAt) >= leastAge;
    if (verdict.ok || verdict.reason !== unknownKey || !mayReload) return verdict;
    await reload();
    return verifier(token, now());
  }

  return {
    async verify(token) {
      const hash = createHash('sha256').update(token).digest('base64');
      const known = verdicts.get(hash);
      if (known && known.expiresAt > now()) return known;
      const verdict = await judge(token);
      if (!verdict.ok) return verdict;
      const [oldest] = verdicts.keys();
      if (verdicts.size >= maxVerdicts && oldest !== undefined) verdicts.delete(oldest);
      verdicts.set(hash, verdict);
      return verdict;
    },
  };
}
