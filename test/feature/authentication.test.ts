import assert from 'node:assert/strict';
import { X509Certificate } from 'node:crypto';
import { openAuthority } from '../../pkg/certs/authority.ts';
import { createMemoryStore } from '../../pkg/certs/file-store.ts';
import { createTokenKey, issueToken } from '../../pkg/certs/tokens.ts';
import { secretType } from '../../pkg/xds/resources.ts';
import { decodeSecret } from '../../pkg/xds/secret.ts';
import { type ConnectOptions, type FeatureMesh, startMesh } from './feature-mesh.ts';
import { shop } from './shop.ts';

const web = { namespace: 'shop', serviceAccount: 'web' };
const hour = 3_600_000;

describe('who is served', () => {
  let mesh: FeatureMesh;
  beforeEach(async () => {
    mesh = await startMesh();
    await mesh.apply(shop());
  });
  afterEach(() => mesh.close());

  /** Why a client was turned away. */
  async function reasonFor(options: Partial<ConnectOptions>): Promise<string> {
    const client = await mesh.connect({
      account: 'shop/web',
      early: true,
      ...options,
    });
    await client.until(() => client.states.some(({ kind }) => kind === 'disconnected'));
    assert.deepEqual([...client.held], [], 'who is turned away gets nothing');
    const state = client.states.find(({ kind }) => kind === 'disconnected');
    await client.close();
    return state?.kind === 'disconnected' ? state.reason : '';
  }

  it('is who the token says: its own certificate, by both names', async () => {
    const client = await mesh.connect({
      account: 'shop/web',
      pod: 'shop/web-0',
    });
    const secret = decodeSecret(client.held.get(secretType)?.get('identity') ?? Buffer.alloc(0));

    assert.ok(secret.kind === 'certificate');
    const certificate = new X509Certificate(secret.chain);
    const names = 'URI:spiffe://cluster.local/ns/shop/sa/web, DNS:web.shop.cluster.local';
    assert.equal(certificate.subjectAltName, names);
    assert.ok(certificate.checkPrivateKey((await import('node:crypto')).createPrivateKey(secret.privateKey)));
  });

  it('is nobody without a token, or with one that is expired, forged or meant for others', async () => {
    const { clock, key } = mesh;
    const options = { now: clock.now(), lifetime: 600 };
    const other = await createTokenKey();
    const refused = async (token: Promise<string>, reason: RegExp): Promise<void> =>
      assert.match(await reasonFor({ token: () => token }), reason);

    await refused(Promise.resolve(''), /UNAUTHENTICATED: no bearer token/);
    await refused(Promise.resolve('nonsense'), /malformed/);
    await refused(issueToken(other.privateKey, web, options), /unknown key/);
    await refused(
      issueToken(key.privateKey, web, {
        ...options,
        now: clock.now() - 2 * hour,
      }),
      /expired/,
    );
    await refused(issueToken(key.privateKey, web, { ...options, audience: 'kubernetes' }), /claim aud/);
    assert.match(mesh.metrics.render(), /tulle_xds_refused_total{reason="unauthenticated"} 5/);
    assert.ok(!JSON.stringify(mesh.logs).includes('eyJ'), 'no token in the log');
  });

  it('is not a pod that runs as another account', async () => {
    assert.match(await reasonFor({ account: 'shop/web', pod: 'shop/cart-v1-0' }), /runs as another account/);
  });

  it('does not trust a control plane of another authority', async () => {
    const { clock } = mesh;
    const other = await openAuthority({
      store: createMemoryStore(),
      clock,
      name: 'other',
    });

    assert.match(await reasonFor({ ca: () => Buffer.from(other.bundle()) }), /UNAVAILABLE/);
  });
});
