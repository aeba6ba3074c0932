import assert from 'node:assert/strict';
import { exportJWK, generateKeyPair, type JWK, SignJWT } from 'jose';
import { silentLogger } from '../../observability/logger.ts';
import { createTokenKeys, type TokenKeys } from './token-keys.ts';

const issuer = 'https://kubernetes.default.svc';
const start = Date.UTC(2026, 10, 21, 12);

interface Key {
  readonly publicKey: JWK;
  sign(now: number, uid?: string): Promise<string>;
}

async function createKey(kid: string): Promise<Key> {
  const { privateKey, publicKey } = await generateKeyPair('ES256');
  return {
    publicKey: { ...(await exportJWK(publicKey)), kid, alg: 'ES256' },
    sign: (now, uid = 'u1') =>
      new SignJWT({
        sub: 'system:serviceaccount:shop:web',
        'kubernetes.io': { namespace: 'shop', serviceaccount: { name: 'web' }, pod: { name: 'web-0', uid } },
      })
        .setProtectedHeader({ alg: 'ES256', kid })
        .setAudience('tulle')
        .setIssuer(issuer)
        .setIssuedAt(Math.floor(now / 1000))
        .setExpirationTime(Math.floor(now / 1000) + 3600)
        .sign(privateKey),
  };
}

describe('the keys of the API server', () => {
  let now: number;
  let served: JWK[];
  let isDown: boolean;
  let readings: number;
  let keys: TokenKeys;
  let one: Key;
  let two: Key;
  before(async () => {
    one = await createKey('one');
    two = await createKey('two');
  });
  beforeEach(() => {
    now = start;
    served = [one.publicKey];
    isDown = false;
    readings = 0;
    const request = <T>(_method: string, path: string): Promise<T> => {
      if (path === '/openid/v1/jwks') readings += 1;
      if (isDown) return Promise.reject(new Error('unreachable'));
      return Promise.resolve((path === '/openid/v1/jwks' ? { keys: served } : { issuer }) as T);
    };
    keys = createTokenKeys({ cluster: { request }, audience: 'tulle', log: silentLogger, now: () => now });
  });
  const reasonOf = async (token: string): Promise<string> => {
    const verdict = await keys.verify(token);
    return verdict.ok ? 'ok' : verdict.reason;
  };

  it('are read once for many tokens', async () => {
    const tokens = await Promise.all(Array.from({ length: 20 }, (_, i) => one.sign(now, `u${i}`)));
    const verdicts = await Promise.all(tokens.map((token) => keys.verify(token)));

    assert.ok(verdicts.every(({ ok }) => ok));
    assert.equal(readings, 1);
  });

  it('are read again for a key that is not known, and not for each token that somebody makes up', async () => {
    assert.equal(await reasonOf(await one.sign(now)), 'ok');
    served = [one.publicKey, two.publicKey];
    now += 11_000;
    assert.equal(await reasonOf(await two.sign(now)), 'ok');
    assert.equal(readings, 2);

    const stranger = await createKey('three');
    for (let i = 0; i < 50; i++) {
      assert.match(await reasonOf(await stranger.sign(now, `u${i}`)), /unknown key/);
    }
    assert.equal(readings, 2);
  });

  it('that can not be read are a reason to refuse, and are tried again', async () => {
    isDown = true;
    const token = await one.sign(now);
    for (let i = 0; i < 10; i++) assert.match(await reasonOf(token), /could not be read from the API server/);
    assert.equal(readings, 1);

    isDown = false;
    now += 1_000;
    assert.equal(await reasonOf(token), 'ok');
  });

  it('that were read stay in use while the API server is away', async () => {
    const token = await one.sign(now);
    assert.equal(await reasonOf(token), 'ok');
    isDown = true;
    now += 3_500_000;
    assert.equal(await reasonOf(await one.sign(now)), 'ok');
  });

  it('do not make a token live longer than it says', async () => {
    const token = await one.sign(now);
    assert.equal(await reasonOf(token), 'ok');
    now += 3_700_000;
    assert.match(await reasonOf(token), /expired/);
  });

  it('that were withdrawn verify nothing any more', async () => {
    const token = await one.sign(now);
    assert.equal(await reasonOf(token), 'ok');
    served = [two.publicKey];
    now += 11_000;
    assert.equal(await reasonOf(await two.sign(now)), 'ok');
    assert.match(await reasonOf(token), /unknown key/);
  });
});
