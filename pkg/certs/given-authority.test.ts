import assert from 'node:assert/strict';
import { execFileSync } from 'node:child_process';
import { X509Certificate } from 'node:crypto';
import { mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { createServer, connect } from 'node:tls';
import { createFakeClock } from '../../test/support/fake-clock.ts';
import { type GivenCa, openGivenAuthority } from './given-authority.ts';

const names = { uris: ['spiffe://x/ns/shop/sa/web'], dnsNames: ['web.shop.x'] };
const hour = 3_600_000;

/** CAs as people have them: made by openssl, with RSA or elliptic curves, as a root or below one. */
class Workshop {
  readonly folder = mkdtempSync('/tmp/tulle-ca-');
  readonly #run = (...args: string[]): void => {
    execFileSync('openssl', args, { cwd: this.folder, stdio: 'pipe' });
  };
  read(file: string): string {
    return readFileSync(join(this.folder, file), 'utf8');
  }
  root(name: string, algorithm: 'rsa' | 'ec'): GivenCa {
    const key = algorithm === 'rsa' ? ['rsa:2048'] : ['ec', '-pkeyopt', 'ec_paramgen_curve:P-384'];
    const files = ['-keyout', `${name}.key`, '-out', `${name}.crt`];
    this.#run('req', '-x509', '-newkey', ...key, '-nodes', '-days', '30', '-subj', `/O=Corp/CN=${name}`, ...files);
    return { certificate: this.read(`${name}.crt`), privateKey: this.read(`${name}.key`) };
  }
  intermediate(name: string, root: string): GivenCa {
    writeFileSync(join(this.folder, 'ext'), 'basicConstraints=critical,CA:TRUE\nsubjectKeyIdentifier=hash\n');
    const subject = ['-subj', `/CN=${name}`];
    this.#run('req', '-newkey', 'rsa:2048', '-nodes', ...subject, '-keyout', `${name}.key`, '-out', `${name}.csr`);
    const signing = [
      '-CA',
      `${root}.crt`,
      '-CAkey',
      `${root}.key`,
      '-CAcreateserial',
      '-days',
      '20',
      '-extfile',
      'ext',
    ];
    this.#run('x509', '-req', '-in', `${name}.csr`, '-out', `${name}.crt`, ...signing);
    const privateKey = this.read(`${name}.key`);
    return { certificate: this.read(`${name}.crt`), privateKey, roots: this.read(`${root}.crt`) };
  }
}

describe('an authority that is given', () => {
  let workshop: Workshop;
  before(function () {
    this.timeout(60_000);
    try {
      workshop = new Workshop();
      workshop.root('rsa', 'rsa');
      workshop.root('ec', 'ec');
      workshop.intermediate('below', 'rsa');
    } catch {
      this.skip();
    }
  });
  after(() => rmSync(workshop.folder, { recursive: true }));
  const given = (name: string): GivenCa => ({
    certificate: workshop.read(`${name}.crt`),
    privateKey: workshop.read(`${name}.key`),
    ...(name === 'below' ? { roots: workshop.read('rsa.crt') } : {}),
  });
  const open = (ca: GivenCa) =>
    openGivenAuthority({ read: () => Promise.resolve(ca), clock: createFakeClock(Date.now()), announce: hour });

  for (const name of ['rsa', 'ec', 'below']) {
    it(`issues certificates that TLS accepts by its roots: ${name}`, async () => {
      const authority = await open(given(name));
      const leaf = authority.issue(names, hour);
      const server = createServer({ cert: leaf.certificate, key: leaf.privateKey, minVersion: 'TLSv1.3' });
      await new Promise<void>((resolve) => server.listen(0, '127.0.0.1', resolve));
      const { port } = server.address() as { port: number };
      const socket = connect({ port, host: '127.0.0.1', ca: authority.bundle(), servername: 'web.shop.x' });
      await new Promise((resolve, reject) => socket.once('secureConnect', resolve).once('error', reject));

      assert.equal(socket.authorized, true);
      assert.match(socket.getPeerCertificate().subjectaltname ?? '', /URI:spiffe:\/\/x\/ns\/shop\/sa\/web/);
      socket.destroy();
      server.close();
    });
  }

  it('says what is wrong with what it is given', async () => {
    const rsa = given('rsa');
    const leaf = (await open(rsa)).issue(names, hour);
    const wrong: readonly [GivenCa, RegExp][] = [
      [{ ...rsa, certificate: 'x' }, /tls.crt holds no certificate/],
      [{ ...rsa, privateKey: 'x' }, /tls.key holds no private key/],
      [{ ...rsa, privateKey: given('ec').privateKey }, /tls.key is not the key of tls.crt/],
      [{ certificate: leaf.certificate, privateKey: leaf.privateKey }, /tls.crt is no CA/],
      [{ certificate: given('below').certificate, privateKey: given('below').privateKey }, /put the root into ca.crt/],
      [{ ...rsa, roots: 'nonsense' }, /ca.crt holds no certificate/],
    ];
    for (const [ca, reason] of wrong) await assert.rejects(open(ca), reason);
    const late = createFakeClock(Date.now() + 60 * 24 * hour);
    const read = () => Promise.resolve(rsa);
    await assert.rejects(openGivenAuthority({ read, clock: late, announce: 0 }), /tls.crt has expired/);
  });

  it('trusts a new root at once, signs with it later, and goes on trusting the old one', async () => {
    const clock = createFakeClock(Date.now());
    let ca = given('rsa');
    const authority = await openGivenAuthority({ read: () => Promise.resolve(ca), clock, announce: hour });
    let told = 0;
    authority.subscribe(() => (told += 1));
    const issuerOf = (): string => new X509Certificate(authority.issue(names, hour).certificate).issuer;

    assert.equal(await authority.reload(), false);
    ca = given('ec');
    assert.equal(await authority.reload(), true);
    assert.ok(authority.bundle().includes(given('ec').certificate.trim()));
    assert.match(issuerOf(), /CN=rsa/);
    assert.equal(await authority.reload(), false);

    clock.advance(hour);
    assert.match(issuerOf(), /CN=ec/);
    assert.ok(authority.bundle().includes(given('rsa').certificate.trim()));
    assert.equal(told, 2);
  });
});
