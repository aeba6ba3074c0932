import assert from 'node:assert/strict';
import { exportJWK, generateKeyPair, type JSONWebKeySet, SignJWT } from 'jose';
import { createPodTokenVerifier } from './pod-tokens.ts';

const now = Date.UTC(2026, 10, 21, 12);
const issuer = 'https://kubernetes.default.svc.cluster.local';
const pod = { name: 'web-0', uid: '1-2-3' };
const claim = { namespace: 'shop', serviceaccount: { name: 'web', uid: '4' }, pod };

describe('tokens of pods', () => {
  for (const alg of ['RS256', 'ES256']) {
    describe(`signed with ${alg}`, () => {
      let keys: JSONWebKeySet;
      let sign: (claims?: object, audience?: string, expires?: number) => Promise<string>;
      before(async () => {
        const { privateKey, publicKey } = await generateKeyPair(alg);
        keys = { keys: [{ ...(await exportJWK(publicKey)), kid: 'k', alg }] };
        sign = (claims = {}, audience = 'tulle', expires = now / 1000 + 3600) =>
          new SignJWT({ 'kubernetes.io': claim, sub: 'system:serviceaccount:shop:web', ...claims })
            .setProtectedHeader({ alg, kid: 'k' })
            .setAudience(audience)
            .setIssuer(issuer)
            .setIssuedAt(now / 1000)
            .setExpirationTime(expires)
            .sign(privateKey);
      });
      const verify = (token: string) => createPodTokenVerifier(keys, { audience: 'tulle', issuer })(token, now);
      const reasonOf = async (token: Promise<string>): Promise<string> => {
        const verdict = await verify(await token);
        return verdict.ok ? 'ok' : verdict.reason;
      };

      it('say whom they speak for, and for which pod', async () => {
        const claims = { namespace: 'shop', serviceAccount: 'web', pod };
        assert.deepEqual(await verify(await sign()), { ok: true, claims, expiresAt: now + 3_600_000 });
      });

      it('are refused when meant for others or expired', async () => {
        assert.match(await reasonOf(sign({}, 'https://kubernetes.default.svc')), /claim aud/);
        assert.equal(await reasonOf(sign({}, 'tulle', now / 1000 - 60)), 'the token has expired');
        const other = createPodTokenVerifier(keys, { audience: 'tulle', issuer: 'https://other' });
        assert.equal((await other(await sign(), now)).ok, false);
      });

      it('are refused without a pod, an account, or with two accounts', async () => {
        assert.match(await reasonOf(sign({ 'kubernetes.io': { ...claim, pod: undefined } })), /bound to no pod/);
        assert.match(await reasonOf(sign({ 'kubernetes.io': { pod } })), /names no account/);
        assert.match(await reasonOf(sign({ 'kubernetes.io': 7 })), /names no account/);
        assert.match(await reasonOf(sign({ sub: 'system:serviceaccount:shop:admin' })), /another account/);
        const sneaky = { ...claim, pod: { name: '../x', uid: '1' } };
        assert.match(await reasonOf(sign({ 'kubernetes.io': sneaky })), /bound to no pod/);
      });
    });
  }
});
