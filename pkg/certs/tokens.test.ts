import assert from 'node:assert/strict';
import { SignJWT, UnsecuredJWT } from 'jose';
import { createTokenKey, createTokenVerifier, issueToken, type TokenClaims, type TokenKeyPair } from './tokens.ts';

const now = Date.UTC(2026, 10, 21, 12);
const claims: TokenClaims = { namespace: 'shop', serviceAccount: 'cart', pod: 'shop/cart-0' };

describe('workload tokens', () => {
  let key: TokenKeyPair;
  let verify: ReturnType<typeof createTokenVerifier>;
  before(async () => {
    key = await createTokenKey();
    verify = createTokenVerifier(key.publicKeys);
  });
  const reasonOf = async (token: string, at = now): Promise<string> => {
    const verdict = await verify(token, at);
    return verdict.ok ? 'ok' : verdict.reason;
  };

  it('say who the bearer is', async () => {
    const token = await issueToken(key.privateKey, claims, { now, lifetime: 600 });

    assert.deepEqual(await verify(token, now), { ok: true, claims, expiresAt: now + 600_000 });
  });

  it('need no pod', async () => {
    const token = await issueToken(key.privateKey, { namespace: 'a', serviceAccount: 'b' }, { now, lifetime: 60 });
    const verdict = await verify(token, now);

    assert.ok(verdict.ok && verdict.claims.pod === undefined);
  });

  it('live an hour at most and are refused when they have expired', async () => {
    const token = await issueToken(key.privateKey, claims, { now, lifetime: 86_400 });

    assert.equal(await reasonOf(token, now + 3_590_000), 'ok');
    assert.equal(await reasonOf(token, now + 3_610_000), 'the token has expired');
    assert.notEqual(await reasonOf(token, now - 60_000), 'ok');
  });

  it('are refused with another audience, issuer, key or algorithm', async () => {
    const options = { now, lifetime: 60 };
    const other = await createTokenKey();

    assert.match(await reasonOf(await issueToken(key.privateKey, claims, { ...options, audience: 'x' })), /claim aud/);
    assert.match(await reasonOf(await issueToken(key.privateKey, claims, { ...options, issuer: 'x' })), /claim iss/);
    assert.match(await reasonOf(await issueToken(other.privateKey, claims, options)), /unknown key/);
    const forged = { ...other.privateKey, kid: key.privateKey.kid ?? '' };
    assert.match(await reasonOf(await issueToken(forged, claims, options)), /signature/);

    const subject = 'system:serviceaccount:shop:cart';
    const times = { sub: subject, aud: 'tulle', iss: 'tulle-local', iat: now / 1000, exp: now / 1000 + 60 };
    assert.equal(await reasonOf(new UnsecuredJWT(times).encode()), 'the token is malformed');
    const shared = new SignJWT(times).setProtectedHeader({ alg: 'HS256' });
    assert.equal(await reasonOf(await shared.sign(Buffer.alloc(32))), 'the token is malformed');
  });

  it('are refused when bound to a pod of another namespace', async () => {
    const token = await issueToken(key.privateKey, { ...claims, pod: 'other/cart-0' }, { now, lifetime: 60 });

    assert.match(await reasonOf(token), /another namespace/);
  });

  it('are refused when they are no tokens', async () => {
    for (const text of ['', 'x', 'a.b.c', 'x'.repeat(100_000)]) {
      const verdict = await verify(text, now);
      assert.equal(verdict.ok, false);
    }
  });
});
