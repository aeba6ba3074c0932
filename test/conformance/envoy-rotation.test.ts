import assert from 'node:assert/strict';
import { spawn } from 'node:child_process';
import type { ChildProcess } from 'node:child_process';
import { mkdirSync, mkdtempSync, renameSync, rmSync, symlinkSync, writeFileSync } from 'node:fs';
import { homedir, tmpdir } from 'node:os';
import { join } from 'node:path';
import { createServer } from 'node:tls';
import { ServerCredentials } from '@grpc/grpc-js';
import { createLeaf, createRoot } from '../../pkg/certs/certificate.ts';
import { toSecretFiles } from '../../pkg/envoy-config/bootstrap.ts';
import { podDirectory, toPodBootstrap, toPodTrust } from '../../pkg/envoy-config/pod-bootstrap.ts';
import { findEnvoy } from '../../pkg/local/envoy/find-envoy.ts';
import { silentLogger } from '../../pkg/observability/logger.ts';
import { Metrics } from '../../pkg/observability/metrics.ts';
import type { ServiceIdentity } from '../../pkg/policy/identity.ts';
import { type AdsServer, createAdsServer } from '../../pkg/xds/ads-server.ts';
import { until } from '../support/envoy.ts';

const controlPlane = { namespace: 'tulle-system', service: 'tulle-controller', xdsPort: 15128, otlpPort: 15129 };
const lifetime = { from: Date.now(), lifetime: 3_600_000 };
const envoySearch = { path: process.env['PATH'] ?? '', cache: join(homedir(), '.cache', 'tulle'), fetch: true };
const identity = 'spiffe://test/ns/shop/sa/web' as ServiceIdentity;
type Root = ReturnType<typeof createRoot>;

/** What the kubelet writes into a projected volume. */
interface Projected {
  readonly token: string;
  readonly roots: string;
  /** Of the control plane. */
  readonly service?: string;
}

/** The files of a pod as the kubelet exchanges them: a new directory, and one rename of the link to it. */
describe('Envoy with files of a projected volume', function () {
  this.timeout(90_000);
  let directory = '';
  let versions = 0;
  let envoy: ChildProcess | undefined;
  let output = '';
  let ads: AdsServer | undefined;
  let port = 0;
  const tokens: (string | undefined)[] = [];
  const [first, second] = [createRoot('one', lifetime), createRoot('two', lifetime)];

  function project({ token, roots, service = controlPlane.service }: Projected): void {
    const version = `..version_${(versions += 1)}`;
    mkdirSync(join(directory, version));
    const secrets = Object.entries(toSecretFiles(toPodTrust({ ...controlPlane, service })));
    const files: [string, string][] = [
      ['token', token],
      ['roots.pem', roots],
      ...secrets.map(([name, content]): [string, string] => [name, here(JSON.stringify(content))]),
    ];
    for (const [name, text] of files) {
      writeFileSync(join(directory, version, name), text);
      if (versions === 1) symlinkSync(join('..data', name), join(directory, name));
    }
    symlinkSync(version, join(directory, '..data_tmp'));
    renameSync(join(directory, '..data_tmp'), join(directory, '..data'));
  }

  const here = (text: string): string => text.replaceAll(podDirectory, directory);

  function createServerLeaf(root: Root, service = controlPlane.service): ReturnType<typeof createLeaf> {
    const dnsNames = [`${service}.${controlPlane.namespace}.svc`];
    return createLeaf(root, root === first ? 'one' : 'two', { uris: [], dnsNames }, lifetime);
  }

  /** A control plane that ends whoever is connected and serves with another certificate. */
  async function serve(root: Root, service = controlPlane.service): Promise<void> {
    await ads?.close();
    const leaf = createServerLeaf(root, service);
    ads = createAdsServer({
      source: { view: () => undefined, subscribe: () => () => undefined },
      authenticate: ({ token }) => {
        tokens.push(token);
        return Promise.resolve({ ok: true, client: { identity } });
      },
      byTokenAlone: true,
      log: silentLogger,
      metrics: new Metrics(),
    });
    const pair = { cert_chain: Buffer.from(leaf.certificate), private_key: Buffer.from(leaf.privateKey) };
    port = await ads.listen(`127.0.0.1:${port}`, ServerCredentials.createSsl(null, [pair]));
  }

  /** Serves with a certificate that Envoy is no longer to trust, until Envoy says that it does not. */
  async function serveUntilRefused(root: Root): Promise<void> {
    await ads?.close();
    ads = undefined;
    const { certificate: cert, privateKey: key } = createServerLeaf(root);
    const server = createServer({ cert, key, ALPNProtocols: ['h2'] });
    // Before it has read the new roots it may come in once more.
    server.on('secureConnection', (socket) => socket.destroy());
    const refused = new Promise<void>((resolve) => {
      server.on('tlsClientError', ({ code }: NodeJS.ErrnoException) => {
        if (code === 'ERR_SSL_TLSV1_ALERT_UNKNOWN_CA') resolve();
      });
    });
    await new Promise<void>((resolve) => server.listen(port, '127.0.0.1', resolve));
    await refused;
    await new Promise((resolve) => server.close(resolve));
  }
  const connected = (): Promise<void> =>
    until(
      () => Promise.resolve((ads?.clients().length ?? 0) > 0),
      () => output,
    );

  before(async () => {
    directory = mkdtempSync(join(tmpdir(), 'tulle-projected-'));
    project({ token: 'token-1', roots: first.certificate });
    await serve(first);
    const bootstrap = toPodBootstrap({
      nodeCluster: 'shop/web',
      controlPlane: { ...controlPlane, xdsPort: port, ip: '127.0.0.1' },
      ...{ ipv6: false, metrics: false, probes: [] },
    });
    const text = here(JSON.stringify(bootstrap)).replace(/"port_value":150\d\d/g, '"port_value":0');
    const args = ['--service-node', 'shop/web-0', '--disable-hot-restart', '--concurrency', '1', '-l', 'warning'];
    envoy = spawn(findEnvoy(envoySearch).program, ['--config-yaml', text, ...args], {
      stdio: ['ignore', 'pipe', 'pipe'],
    });
    for (const stream of [envoy.stdout, envoy.stderr]) stream?.on('data', (chunk: Buffer) => (output += String(chunk)));
    await connected();
  });
  after(async () => {
    envoy?.kill('SIGKILL');
    await ads?.close();
    rmSync(directory, { recursive: true, force: true });
  });

  it('shows the token that was there at its start', () => assert.deepEqual(tokens, ['token-1']));

  it('shows the renewed token with its next stream', async () => {
    project({ token: 'token-2', roots: first.certificate });
    await until(async () => {
      tokens.length = 0;
      ads?.disconnect(() => true, 'come again');
      await connected();
      return tokens.includes('token-2');
    });
  });

  it('trusts the roots of the day', async () => {
    project({ token: 'token-2', roots: first.certificate + second.certificate });
    await serve(second);
    await connected();
    project({ token: 'token-2', roots: second.certificate });
    await serveUntilRefused(first);
    await serve(second);
    await connected();
  });

  it('reads the files of secrets themselves again: the control plane has another name', async () => {
    project({ token: 'token-3', roots: second.certificate, service: 'other-controller' });
    await serve(second, 'other-controller');
    await connected();
  });
});
