import { readFile } from 'node:fs/promises';
import type { JSONWebKeySet } from 'jose';
import type { MeshModel } from '../catalog/mesh-model.ts';
import type { MeshSnapshot } from '../catalog/snapshot.ts';
import { createTokenVerifier } from '../certs/tokens.ts';
import { type ServiceIdentity, toServiceIdentity, type TrustDomain } from '../policy/identity.ts';
import type { Authenticate } from '../xds/ads-server.ts';

export interface TokenAuthenticationOptions {
  /** A JWK set. Read again when a token is signed by a key that is not in it. */
  readonly keysFile: string;
  readonly trustDomain: string;
  readonly model: () => MeshModel | undefined;
  readonly now: () => number;
}

/** Identity is the token's alone (DECISIONS I4). A pod that is known must be the token's; one not seen yet may come. */
export function createTokenAuthentication(options: TokenAuthenticationOptions): Authenticate {
  const { keysFile, trustDomain, model, now } = options;
  let verify: ReturnType<typeof createTokenVerifier> | undefined;
  let readAt = Number.NEGATIVE_INFINITY;

  async function readKeys(): Promise<void> {
    readAt = now();
    verify = createTokenVerifier(JSON.parse(await readFile(keysFile, 'utf8')) as JSONWebKeySet);
  }

  return async ({ token }) => {
    if (token === undefined || token === '') return { ok: false, reason: 'no bearer token' };
    if (!verify) await readKeys();
    let verdict = await verify?.(token, now());
    if (!verdict?.ok && verdict?.reason === 'the token is signed by an unknown key' && now() - readAt > 1000) {
      await readKeys();
      verdict = await verify?.(token, now());
    }
    if (!verdict?.ok) return { ok: false, reason: verdict?.reason ?? 'there is no key to verify tokens with' };
    const { claims, expiresAt } = verdict;
    const { namespace, serviceAccount, pod } = claims;
    const identity = toServiceIdentity(trustDomain as TrustDomain, { namespace, name: serviceAccount });
    const known = pod === undefined ? undefined : model()?.pods.get(pod);
    if (known && known.identity !== identity) return { ok: false, reason: `pod ${pod} runs as another account` };
    return { ok: true, client: pod === undefined ? { identity } : { identity, pod }, expiresAt };
  };
}

export interface OpenAuthenticationOptions {
  readonly trustDomain: string;
  readonly model: () => MeshModel | undefined;
  readonly snapshot: () => MeshSnapshot | undefined;
}

/**
 * Believes `node.metadata` {NAMESPACE, SERVICE_ACCOUNT, NAME, IP}: for clients on the loopback that are being tried out.
 * The pod is the one of that name, else the one of that address; a client of neither serves nothing.
 */
export function createOpenAuthentication(options: OpenAuthenticationOptions): Authenticate {
  const { trustDomain, model, snapshot } = options;
  return ({ node: { metadata } }) => {
    const { NAMESPACE: namespace = 'default', SERVICE_ACCOUNT: name = 'default', NAME, IP } = metadata;
    if (!isLabel(namespace) || !isLabel(name)) {
      return Promise.resolve({ ok: false, reason: 'node.metadata names no account' });
    }
    const identity = toServiceIdentity(trustDomain as TrustDomain, { namespace, name });
    const byName = NAME === undefined ? undefined : `${namespace}/${NAME}`;
    const byAddress = (): string | undefined => {
      const found = snapshot()?.pods.find(({ ip }) => IP !== undefined && ip === IP);
      return found && `${found.namespace}/${found.name}`;
    };
    const isOwn = (pod: string | undefined): boolean =>
      pod !== undefined && model()?.pods.get(pod)?.identity === identity;
    const pod = isOwn(byName) ? byName : byAddress();
    const client: { identity: ServiceIdentity; pod?: string } = { identity };
    if (pod !== undefined && isOwn(pod)) client.pod = pod;
    return Promise.resolve({ ok: true, client });
  };
}

function isLabel(text: string): boolean {
  return /^[a-z0-9]([a-z0-9.-]{0,251}[a-z0-9])?$/.test(text);
}
