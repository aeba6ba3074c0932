import assert from 'node:assert/strict';
import { spawn, spawnSync } from 'node:child_process';
import type { ChildProcess } from 'node:child_process';
import { mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { createServer, get, request } from 'node:http';
import type { IncomingHttpHeaders, Server } from 'node:http';
import { connect as connectHttp2, createServer as createHttp2 } from 'node:http2';
import { createServer as createHttps } from 'node:https';
import { createServer as createTcp } from 'node:net';
import type { AddressInfo, Server as TcpServer } from 'node:net';
import { homedir, tmpdir } from 'node:os';
import { join } from 'node:path';
import { ServerCredentials } from '@grpc/grpc-js';
import { createLeaf, createRoot } from '../../pkg/certs/certificate.ts';
import { toSecretFiles } from '../../pkg/envoy-config/bootstrap.ts';
import { otlpCluster } from '../../pkg/envoy-config/names.ts';
import { podDirectory, podPorts, toPodBootstrap, toPodTrust } from '../../pkg/envoy-config/pod-bootstrap.ts';
import { toHttpListener } from '../../pkg/envoy-config/probe-listener.ts';
import type { ProbeListener } from '../../pkg/envoy-config/probe-listener.ts';
import { findEnvoy } from '../../pkg/local/envoy/find-envoy.ts';
import { silentLogger } from '../../pkg/observability/logger.ts';
import { Metrics } from '../../pkg/observability/metrics.ts';
import type { ServiceIdentity } from '../../pkg/policy/identity.ts';
import { createAdsServer } from '../../pkg/xds/ads-server.ts';
import type { AdsServer, AuthenticationRequest } from '../../pkg/xds/ads-server.ts';
import { toEncodedResource, toResourceView } from '../../pkg/xds/encode.ts';
import type { ResourceView } from '../../pkg/xds/resources.ts';
import { envoyTypes } from '../../pkg/xds/type-traits.ts';
import { until } from '../support/envoy.ts';
import { encodeEnvoy } from '../support/envoy-encoder.ts';

const controlPlane = { namespace: 'tulle-system', service: 'tulle-controller', xdsPort: 15128, otlpPort: 15129 };
const serverName = 'tulle-controller.tulle-system.svc';
const lifetime = { from: Date.now(), lifetime: 3_600_000 };
const envoySearch = { path: process.env['PATH'] ?? '', cache: join(homedir(), '.cache', 'tulle'), fetch: true };

const probes = (port: number): readonly ProbeListener[] => [
  { kind: 'http', port: 15901, appPort: port, tls: false, targets: ['/ready?deep=1', '/moved'] },
  { kind: 'http', port: 15902, appPort: port + 1, tls: true, targets: ['/'] },
  { kind: 'grpc', port: 15903, appPort: port + 2 },
  { kind: 'http', port: 15905, appPort: port + 4, tls: false, targets: ['/late'] },
  { kind: 'tcp', port: 15904, checks: [{ appPort: port + 3, intervalSeconds: 1, timeoutSeconds: 1 }] },
];

describe('the bootstrap of a pod', function () {
  this.timeout(90_000);
  let directory = '';
  let program = '';

  before(() => {
    directory = mkdtempSync(join(tmpdir(), 'tulle-pod-'));
    program = findEnvoy(envoySearch).program;
    writeTrust(directory, createRoot('test', lifetime).certificate);
  });
  after(() => rmSync(directory, { recursive: true, force: true }));

  for (const ipv6 of [false, true])
    it(`is valid for Envoy, with every kind of probe${ipv6 ? ', over IPv6' : ''}`, () => {
      const bootstrap = toPodBootstrap({
        ...{ nodeCluster: 'shop/web', controlPlane, ipv6, metrics: true, probes: probes(8080) },
      });
      validate(program, toText(bootstrap, directory));
    });

  it('is valid without anything that may be left out', () => {
    const bootstrap = toPodBootstrap({
      ...{ nodeCluster: 'shop/web', controlPlane, ipv6: false, metrics: false, probes: [] },
    });
    assert.equal(bootstrap.static_resources.listeners?.length, 1);
    validate(program, toText(bootstrap, directory));
  });

  it('names the control plane by DNS, or dials its address and checks the name all the same', () => {
    const addressOf = (ip?: string): string =>
      JSON.stringify(
        toPodBootstrap({
          nodeCluster: 'shop/web',
          controlPlane: { ...controlPlane, ...(ip === undefined ? {} : { ip }) },
          ...{ ipv6: false, metrics: false, probes: [] },
        }),
      );
    assert.match(addressOf(), new RegExp(`"address":"${serverName}","port_value":15128`));
    assert.match(addressOf('10.96.0.9'), /"address":"10\.96\.0\.9","port_value":15128/);
    assert.match(addressOf('10.96.0.9'), new RegExp(`"sni":"${serverName}"`));
  });
});

/** The first of a run of ports that are free now. */
async function freePorts(count: number): Promise<number> {
  for (;;) {
    const first = 20_000 + Math.floor(Math.random() * 10_000);
    const taken = await Promise.all(Array.from({ length: count }, (_, at) => isFree(first + at)));
    if (taken.every(Boolean)) return first;
  }
}

function isFree(port: number): Promise<boolean> {
  return new Promise((resolve) => {
    const server = createTcp();
    server.once('error', () => resolve(false));
    server.listen(port, '127.0.0.1', () => server.close(() => resolve(true)));
  });
}

describe('Envoy with the bootstrap of a pod', function () {
  this.timeout(90_000);
  let directory = '';
  let program = '';
  let envoy: ChildProcess | undefined;
  let output = '';
  let app = 0;
  const ports = new Map<number, number>();
  const at = (port: number): number => ports.get(port) ?? port;
  const closing: (() => void)[] = [];
  const spans: IncomingHttpHeaders[] = [];
  const asked: AuthenticationRequest[] = [];
  const seen: string[] = [];
  const root = createRoot('test', lifetime);
  let ads: AdsServer;
  const leaf = createLeaf(root, 'test', { uris: [], dnsNames: [serverName] }, lifetime);

  before(async () => {
    directory = mkdtempSync(join(tmpdir(), 'tulle-pod-'));
    program = findEnvoy(envoySearch).program;
    writeTrust(directory, root.certificate);
    const first = await freePorts(15);
    app = first + 10;
    [15000, 15010, 15021, 15901, 15902, 15903, 15904, 15905, 15003, 15128].forEach((port, index) =>
      ports.set(port, first + index),
    );
    const receiver = createHttps({ cert: leaf.certificate, key: leaf.privateKey }, (req, res) => {
      req.resume();
      spans.push(req.headers);
      res.end();
    });
    await listen(receiver, 0);
    ports.set(15129, (receiver.address() as AddressInfo).port);
    ads = createAdsServer({
      source: {
        view: (_client, type) => views.get(type),
        subscribe: () => () => undefined,
      },
      authenticate: (it) => {
        asked.push(it);
        return Promise.resolve({ ok: true, client: { identity: 'spiffe://test/ns/shop/sa/web' as ServiceIdentity } });
      },
      log: silentLogger,
      metrics: new Metrics(),
    });
    closing.push(() => void ads.close());
    await startApp();
    const { static_resources: parts, ...bootstrap } = toPodBootstrap({
      nodeCluster: 'shop/web',
      controlPlane: { ...controlPlane, ip: '127.0.0.1' },
      ...{ ipv6: false, metrics: true, probes: probes(app) },
    });
    const text = toText(
      { ...bootstrap, static_resources: { ...parts, listeners: [...(parts.listeners ?? []), inbound] } },
      directory,
      ports,
    );
    const args = ['--service-node', 'shop/web-0', '--disable-hot-restart', '--concurrency', '1', '-l', 'warning'];
    const drain = ['--drain-time-s', '30', '--drain-strategy', 'immediate'];
    envoy = spawn(program, ['--config-yaml', text, ...args, ...drain], { stdio: ['ignore', 'pipe', 'pipe'] });
    for (const stream of [envoy.stdout, envoy.stderr]) stream?.on('data', (chunk: Buffer) => (output += String(chunk)));
  });

  after(() => {
    envoy?.kill('SIGKILL');
    for (const close of closing) close();
    rmSync(directory, { recursive: true, force: true });
  });

  async function listen(server: Server | TcpServer, port: number): Promise<void> {
    await new Promise<void>((resolve, reject) => server.once('error', reject).listen(port, '127.0.0.1', resolve));
    closing.push(() => {
      if ('closeAllConnections' in server) server.closeAllConnections();
      server.close();
    });
  }

  /** HTTP, HTTPS and gRPC; what listens for TCP comes and goes in its test. */
  async function startApp(): Promise<void> {
    await listen(
      createServer((req, res) => {
        seen.push(`${req.method} ${req.url}`);
        if (req.url === '/moved') res.writeHead(302, { location: 'http://elsewhere/' });
        res.end('fine');
      }),
      app,
    );
    const self = createLeaf(root, 'other', { uris: [], dnsNames: ['self-signed'] }, lifetime);
    await listen(
      createHttps({ cert: self.certificate, key: self.privateKey }, (_req, res) => void res.end('secret')),
      app + 1,
    );
    const grpc = createHttp2();
    grpc.on('stream', (stream, headers) => {
      stream.respond({ ':status': 200, 'content-type': 'application/grpc', 'x-path': headers[':path'] ?? '' });
      stream.end();
    });
    await listen(grpc, app + 2);
  }

  /** 0: nobody listens. */
  async function ask(
    port: number,
    path: string,
    method = 'GET',
  ): Promise<{ status: number; headers: IncomingHttpHeaders; body: string }> {
    return new Promise((resolve) => {
      const req = request({ host: '127.0.0.1', port: at(port), path, method, agent: false }, (res) => {
        let body = '';
        res.on('data', (chunk: Buffer) => (body += chunk.toString()));
        res.on('end', () => resolve({ status: res.statusCode ?? 0, headers: res.headers, body }));
      });
      req.on('error', (error) => resolve({ status: 0, headers: {}, body: error.message }));
      req.end();
    });
  }
  const statusOf = async (port: number, path: string, method?: string): Promise<number> =>
    (await ask(port, path, method)).status;

  it('is not ready before the control plane has said what to do', async () => {
    await until(
      async () => (await ask(podPorts.admin, '/server_info')).status === 200,
      () => output,
    );
    assert.equal(await statusOf(podPorts.ready, '/ready'), 0);
    await ads.listen(
      `127.0.0.1:${at(15128)}`,
      ServerCredentials.createSsl(null, [
        { cert_chain: Buffer.from(leaf.certificate), private_key: Buffer.from(leaf.privateKey) },
      ]),
    );
    await until(
      async () => (await statusOf(podPorts.ready, '/ready')) === 200,
      () => output,
    );
  });

  it('asks it by TLS, with the token of the file and the name that its command line says', () => {
    assert.deepEqual(
      asked.map(({ token, node }) => [token, node.id]),
      [['a-token', 'shop/web-0']],
    );
  });

  it('shows readiness and metrics to everybody, and nothing else of the admin API', async () => {
    assert.equal(await statusOf(podPorts.metrics, '/stats/prometheus'), 200);
    for (const [port, path, method] of [
      [podPorts.ready, '/ready', 'POST'],
      [podPorts.ready, '/quitquitquit', 'POST'],
      [podPorts.ready, '/ready/../quitquitquit', 'POST'],
      [podPorts.ready, '/config_dump', 'GET'],
      [podPorts.metrics, '/stats', 'GET'],
      [podPorts.metrics, '/drain_listeners', 'POST'],
    ] as const)
      assert.equal(await statusOf(port, path, method), 404, `${method} ${path}`);
  });

  it('passes on the very request of an HTTP probe, and no other', async () => {
    assert.deepEqual((await ask(15901, '/ready?deep=1')).body, 'fine');
    for (const [path, method] of [
      ['/ready', 'GET'],
      ['/ready?deep=1', 'POST'],
      ['/books', 'GET'],
    ] as const)
      assert.equal(await statusOf(15901, path, method), 404, `${method} ${path}`);
    assert.deepEqual(seen, ['GET /ready?deep=1']);
  });

  it('waits a moment for an app that does not listen yet, and says so when it doesn’t', async () => {
    const early = ask(15905, '/late');
    const late = createServer((_req, res) => void res.end('at last'));
    await new Promise((resolve) => setTimeout(resolve, 20));
    await listen(late, app + 4);
    assert.equal((await early).body, 'at last');
    late.closeAllConnections();
    await new Promise((resolve) => late.close(resolve));
    assert.equal(await statusOf(15905, '/late'), 503);
  });

  it('gives a redirect without the place to go, which counts as healthy', async () => {
    const { status, headers } = await ask(15901, '/moved');
    assert.deepEqual([status, headers.location], [302, undefined]);
  });

  it('speaks TLS with an app that does, whatever its certificate', async () => {
    assert.equal((await ask(15902, '/')).body, 'secret');
    assert.equal(await statusOf(15902, '/other'), 404);
  });

  it('passes on a gRPC health check, and no other call', async () => {
    const call = (path: string): Promise<unknown> =>
      new Promise((resolve, reject) => {
        const session = connectHttp2(`http://127.0.0.1:${at(15903)}`);
        session.once('error', reject);
        const stream = session.request({ ':method': 'POST', ':path': path, 'content-type': 'application/grpc' });
        stream.once('error', reject);
        stream.once('response', (headers) => {
          resolve(headers['x-path'] ?? headers[':status']);
          session.destroy();
        });
        stream.end();
      });
    assert.equal(await call('/grpc.health.v1.Health/Check'), '/grpc.health.v1.Health/Check');
    assert.notEqual(await call('/shop.Orders/Delete'), '/shop.Orders/Delete');
  });

  it('answers a TCP probe by whether the app takes connections', async () => {
    const path = `/tcp/${app + 3}`;
    assert.equal(await statusOf(15904, path), 503);
    const open = async (): Promise<TcpServer> => {
      const server = createTcp((socket) => void socket.on('error', () => undefined).resume());
      await new Promise<void>((resolve) => server.listen(app + 3, '127.0.0.1', resolve));
      return server;
    };
    for (let round = 0; round < 2; round++) {
      const server = await open();
      const begin = Date.now();
      await until(async () => (await statusOf(15904, path)) === 200);
      const took = Date.now() - begin;
      assert.ok(took < 2_000, `seen after ${took} ms`);
      await new Promise((resolve) => server.close(resolve));
      await until(async () => (await statusOf(15904, path)) === 503);
    }
    assert.equal(await statusOf(15904, '/tcp/1'), 404);
  });

  it('sends its spans by TLS, with the token', async () => {
    assert.equal(await statusOf(podPorts.inbound, '/traced'), 200);
    await until(
      () => spans.length > 0,
      () => output,
    );
    assert.equal(spans[0]?.authorization, 'Bearer a-token');
  });

  it('drains what comes in when the hook of its container runs, and serves on', async () => {
    const connectionAfter = (): Promise<string | undefined> =>
      new Promise((resolve, reject) => {
        const options = { host: '127.0.0.1', port: at(podPorts.inbound), headers: { connection: 'keep-alive' } };
        get(options, (res) => {
          res.resume();
          resolve(res.headers.connection);
        }).on('error', reject);
      });
    assert.notEqual(await connectionAfter(), 'close');
    const hook = spawnSync(join(import.meta.dirname, '../../cmd/pod-sidecar/tulle-drain.sh'), {
      encoding: 'utf8',
      timeout: 20_000,
      env: { ...process.env, TULLE_ADMIN_PORT: String(at(podPorts.admin)) },
    });
    assert.deepEqual([hook.status, hook.stderr], [0, '']);
    assert.equal(await connectionAfter(), 'close');
    assert.equal(await statusOf(podPorts.inbound, '/'), 200);
    assert.equal(await statusOf(15901, '/ready?deep=1'), 200, 'probes go on');
    assert.equal(await statusOf(podPorts.ready, '/ready'), 200);
  });
});

const views: ReadonlyMap<string, ResourceView> = new Map([
  [envoyTypes.cluster, toView(envoyTypes.cluster, { name: 'some', connect_timeout: '1s', type: 'STATIC' })],
  [
    envoyTypes.listener,
    toView(envoyTypes.listener, {
      name: 'some',
      address: { socket_address: { address: '127.0.0.1', port_value: 1 } },
      bind_to_port: false,
      filter_chains: [{}],
    }),
  ],
]);

function toView(type: string, resource: { readonly name: string; readonly [field: string]: unknown }): ResourceView {
  const bytes = encodeEnvoy(type.slice(type.indexOf('/') + 1), resource);
  return toResourceView([toEncodedResource(resource.name, type, bytes)]);
}

/** Stands for what the control plane sends: it answers by itself, and is traced. */
const inbound = (() => {
  const listener = toHttpListener({
    name: 'inbound',
    address: { socket_address: { address: '127.0.0.1', port_value: podPorts.inbound } },
    codec: 'HTTP1',
    routes: [{ match: { prefix: '/' }, direct_response: { status: 200 } }],
  }) as { filter_chains: [{ filters: [{ typed_config: Record<string, unknown> }] }] };
  listener.filter_chains[0].filters[0].typed_config['generate_request_id'] = true;
  listener.filter_chains[0].filters[0].typed_config['tracing'] = {
    provider: {
      name: 'envoy.tracers.opentelemetry',
      typed_config: {
        '@type': 'type.googleapis.com/envoy.config.trace.v3.OpenTelemetryConfig',
        http_service: { http_uri: { uri: 'http://tulle-otlp/v1/traces', cluster: otlpCluster, timeout: '5s' } },
      },
    },
  };
  return { ...listener, traffic_direction: 'INBOUND' } as never;
})();

function writeTrust(directory: string, roots: string): void {
  writeFileSync(join(directory, 'roots.pem'), roots);
  writeFileSync(join(directory, 'token'), 'a-token');
  for (const [name, content] of Object.entries(toSecretFiles(toPodTrust(controlPlane)))) {
    writeFileSync(join(directory, name), toText(content, directory));
  }
}

/** As it would be in a pod, but for the directory and the ports. */
function toText(config: object, directory: string, ports: ReadonlyMap<number, number> = new Map()): string {
  const text = JSON.stringify(config).replaceAll(podDirectory, directory);
  return text.replace(/"port_value":(\d+)/g, (_, port) => `"port_value":${ports.get(Number(port)) ?? String(port)}`);
}

function validate(program: string, text: string): void {
  const { status, stderr } = spawnSync(
    program,
    ['--mode', 'validate', '--config-yaml', text, '--service-node', 'shop/web-0', '-l', 'warning'],
    { encoding: 'utf8', timeout: 60_000 },
  );
  assert.deepEqual([status, stderr], [0, '']);
}
