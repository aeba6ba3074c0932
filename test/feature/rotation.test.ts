import assert from 'node:assert/strict';
import { X509Certificate } from 'node:crypto';
import { runRootRotation } from '../../pkg/certs/rotation.ts';
import { secretType } from '../../pkg/xds/resources.ts';
import { decodeSecret } from '../../pkg/xds/secret.ts';
import { type FeatureClient, type FeatureMesh, startMesh } from './feature-mesh.ts';
import { shop } from './shop.ts';

interface Held {
  readonly leaf: X509Certificate;
  readonly roots: readonly X509Certificate[];
}

function secretsOf(client: FeatureClient): Held {
  const read = (name: string) => decodeSecret(client.held.get(secretType)?.get(name) ?? Buffer.alloc(0));
  const [identity, roots] = [read('identity'), read('roots')];
  assert.ok(identity.kind === 'certificate' && roots.kind === 'roots');
  const pems = roots.roots.toString().match(/-----BEGIN[^]*?-----END CERTIFICATE-----/g) ?? [];
  return {
    leaf: new X509Certificate(identity.chain),
    roots: pems.map((pem) => new X509Certificate(pem)),
  };
}

/** What each side of a handshake checks of the other. */
function trusts(from: Held, peer: Held, now: number): boolean {
  const inTime = Date.parse(peer.leaf.validFrom) <= now && now < Date.parse(peer.leaf.validTo);
  return inTime && from.roots.some((root) => peer.leaf.checkIssued(root) && peer.leaf.verify(root.publicKey));
}

describe('certificates of 60 seconds', () => {
  let mesh: FeatureMesh;
  afterEach(() => mesh.close());

  it('are renewed over SDS while the root is exchanged, and no peer is refused at any second', async () => {
    mesh = await startMesh({ leafSeconds: 60 });
    await mesh.apply(shop());
    const { authority, clock } = mesh;
    const end = new AbortController();
    const onError = (error: unknown): void => assert.ifError(error);
    runRootRotation({
      authority,
      clock,
      leafLifetime: 60_000,
      signal: end.signal,
      onStep() {},
      onError,
    });
    const clients = [
      await mesh.connect({ account: 'shop/web', pod: 'shop/web-0' }),
      await mesh.connect({ account: 'shop/cart-v1', pod: 'shop/cart-v1-0' }),
    ];
    const first = clients.map((client) => secretsOf(client).leaf.fingerprint256);
    const [oldRoot] = secretsOf(clients[0] as FeatureClient).roots;

    await authority.rotate();
    for (let second = 0; second < 150; second += 5) {
      clock.advance(5_000);
      await new Promise((resolve) => setImmediate(resolve));
      await mesh.synced();
      const [a, b] = clients.map(secretsOf) as [Held, Held];
      assert.ok(trusts(a, b, clock.now()) && trusts(b, a, clock.now()), `after ${second} s`);
    }

    const last = clients.map(secretsOf);
    assert.deepEqual(authority.rotation().step, 'steady');
    for (const [i, { leaf, roots }] of last.entries()) {
      assert.notEqual(leaf.fingerprint256, first[i]);
      assert.equal(roots.length, 1);
      assert.notEqual(roots[0]?.fingerprint256, oldRoot?.fingerprint256);
    }
    // The streams lived through it, the server's own certificate changed, and new streams are let in.
    assert.ok(clients.every(({ states }) => states.every(({ kind }) => kind !== 'disconnected')));
    await mesh.connect({ account: 'shop/web', pod: 'shop/web-0' });
    end.abort();
  });
});
