import assert from 'node:assert/strict';
import { X509Certificate } from 'node:crypto';
import { createServer, connect, type TLSSocket } from 'node:tls';
import { createIssuer, createRoot } from './certificate.ts';

const day = 86_400_000;
const now = Date.UTC(2026, 10, 21, 12);
const uri = 'spiffe://cluster.local/ns/shop/sa/cart';
const root = createRoot('cluster.local 1', { from: now, lifetime: 3650 * day });

describe('certificate', () => {
  it('makes a root that Node parses and that signed itself', () => {
    const parsed = new X509Certificate(root.certificate);

    assert.equal(parsed.ca, true);
    assert.equal(parsed.subject, 'O=Tulle\nCN=cluster.local 1');
    assert.ok(parsed.verify(parsed.publicKey));
    assert.equal(parsed.publicKey.asymmetricKeyDetails?.namedCurve, 'prime256v1');
  });

  it('makes leaves with the identity as URI and DNS name', () => {
    const leaf = createIssuer(root, 'cluster.local 1').issue(
      { uris: [uri], dnsNames: ['cart.shop.cluster.local'] },
      { from: now, lifetime: day },
    );
    const parsed = new X509Certificate(leaf.certificate);
    const issuer = new X509Certificate(root.certificate);

    assert.equal(parsed.subjectAltName, `URI:${uri}, DNS:cart.shop.cluster.local`);
    assert.ok(parsed.checkIssued(issuer));
    assert.ok(parsed.verify(issuer.publicKey));
    assert.equal(parsed.ca, false);
    assert.equal(Date.parse(parsed.validTo), now + day);
    assert.deepEqual(parsed.keyUsage, ['1.3.6.1.5.5.7.3.1', '1.3.6.1.5.5.7.3.2']);
  });

  it('writes dates from 2050 on as generalized time', () => {
    const far = createRoot('far', { from: now, lifetime: 40 * 365 * day });

    assert.equal(new Date(new X509Certificate(far.certificate).validTo).getUTCFullYear(), 2066);
  });

  it('refuses names that are none', () => {
    for (const bad of ['', 'a b', 'a\nb', 'ä']) {
      assert.throws(
        () => createIssuer(root, 'x').issue({ uris: [bad], dnsNames: [] }, { from: now, lifetime: day }),
        /name/,
      );
    }
  });

  it('serves mutual TLS 1.3, and refuses a leaf of another root', async () => {
    const fresh = { from: Date.now(), lifetime: day };
    const trusted = createRoot('a', fresh);
    const other = createRoot('b', fresh);
    const leaf = (of: typeof root, name: string, account: string) =>
      createIssuer(of, name).issue({ uris: [`spiffe://t/ns/shop/sa/${account}`], dnsNames: [] }, fresh);
    const server = leaf(trusted, 'a', 'server');
    const options = { minVersion: 'TLSv1.3', requestCert: true, ca: trusted.certificate } as const;
    const listener = createServer({ ...options, key: server.privateKey, cert: server.certificate });
    listener.on('tlsClientError', () => undefined);
    await new Promise<void>((resolve) => listener.listen(0, '127.0.0.1', resolve));
    const { port } = listener.address() as { port: number };
    const dial = async (client: typeof root): Promise<string> => {
      const peers = new Promise<TLSSocket>((resolve) => listener.once('secureConnection', resolve));
      const failed = new Promise<string>((resolve) => listener.once('tlsClientError', () => resolve('refused')));
      const socket = connect({
        port,
        host: '127.0.0.1',
        ca: trusted.certificate,
        cert: client.certificate,
        key: client.privateKey,
        minVersion: 'TLSv1.3',
        checkServerIdentity: (_host, { subjectaltname }) =>
          subjectaltname === 'URI:spiffe://t/ns/shop/sa/server' ? undefined : new Error('another identity'),
      });
      socket.on('error', () => undefined);
      const answer = await Promise.race([
        failed,
        peers.then((peer) => `${peer.getProtocol()} ${peer.authorized} ${peer.getPeerCertificate().subjectaltname}`),
      ]);
      socket.destroy();
      return answer;
    };

    assert.equal(await dial(leaf(trusted, 'a', 'client')), 'TLSv1.3 true URI:spiffe://t/ns/shop/sa/client');
    assert.equal(await dial(leaf(other, 'b', 'client')), 'refused');
    await new Promise((resolve) => listener.close(resolve));
  });
});
