import assert from 'node:assert/strict';
import { execFile, spawn, spawnSync } from 'node:child_process';
import type { ChildProcess } from 'node:child_process';
import { chmodSync, mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { homedir, tmpdir } from 'node:os';
import { join } from 'node:path';
import { buildMesh } from '../../pkg/catalog/build-mesh.ts';
import type { MeshModel } from '../../pkg/catalog/mesh-model.ts';
import { createLeaf, createRoot } from '../../pkg/certs/certificate.ts';
import { transparent } from '../../pkg/envoy-config/interception.ts';
import { toXdsResources } from '../../pkg/envoy-config/to-xds-resources.ts';
import { findEnvoy } from '../../pkg/local/envoy/find-envoy.ts';
import type { PolicyMode } from '../../pkg/policy/inbound.ts';
import type { ProxyPolicy } from '../../pkg/policy/proxy-policy.ts';
import { startEnvoy, until } from '../support/envoy.ts';
import type { RunningEnvoy } from '../support/envoy.ts';
import { startAds } from '../support/envoy-ads.ts';
import type { ProxyContent, TestAds } from '../support/envoy-ads.ts';
import { scenarioConfig } from '../support/scenario.ts';
import { pod, port, routeGroup, service, snapshotOf, target, tcpRoute } from '../support/snapshot.ts';

const clientIp = '10.231.7.1';
const serverIp = '10.231.7.2';
const run = (program: string, ...args: string[]): { ok: boolean; output: string } => {
  const { status, stdout, stderr } = spawnSync(program, args, { encoding: 'utf8', timeout: 10_000 });
  return { ok: status === 0, output: `${stdout}${stderr}` };
};
const must = (program: string, ...args: string[]): void => {
  const { ok, output } = run(program, ...args);
  assert.ok(ok, `${program} ${args.join(' ')}: ${output}`);
};

/** Why there can be no pods here; undefined: there can. */
function whyNot(): string | undefined {
  if (process.platform !== 'linux') return 'network namespaces are of Linux';
  if (process.getuid?.() !== 0) return 'only root may make network namespaces that meet';
  const missing = ['ip', 'iptables', 'setpriv', 'curl'].find((tool) => !run('sh', '-c', `command -v ${tool}`).ok);
  if (missing !== undefined) return `"${missing}" is missing`;
  const name = `tulle-probe-${process.pid}`;
  const { ok, output } = run('ip', 'netns', 'add', name);
  run('ip', 'netns', 'del', name);
  return ok ? undefined : `network namespaces are not allowed here: ${output}`;
}

/** Two pods as Kubernetes has them: what goes out and what comes in is led to Envoy, but for what Envoy itself sends. */
function addPods(names: readonly [string, string]): void {
  const [client, server] = names;
  for (const name of names) must('ip', 'netns', 'add', name);
  must('ip', 'link', 'add', 'tulle0', 'netns', client, 'type', 'veth', 'peer', 'name', 'tulle0', 'netns', server);
  for (const [name, own, other] of [
    [client, clientIp, serverIp],
    [server, serverIp, clientIp],
  ] as const) {
    const inside = (...args: string[]): void => must('ip', 'netns', 'exec', name, ...args);
    inside('ip', 'link', 'set', 'lo', 'up');
    inside('ip', 'addr', 'add', `${own}/24`, 'dev', 'tulle0');
    inside('ip', 'link', 'set', 'tulle0', 'up');
    inside('ip', 'route', 'add', 'default', 'via', other);
    const nat = (...rule: string[]): void => inside('iptables', '-t', 'nat', '-A', ...rule);
    // As in a pod: what Envoy sends to its own pod comes in by the front door, but for what came in by it.
    nat('OUTPUT', ...'-o lo -s 127.0.0.6/32 -p tcp -j RETURN'.split(' '));
    nat('OUTPUT', ...'-o lo ! -d 127.0.0.0/8 -p tcp -m owner --uid-owner 0 -j REDIRECT --to-ports 15003'.split(' '));
    nat('OUTPUT', '-p', 'tcp', '-m', 'owner', '--uid-owner', '0', '-j', 'RETURN');
    nat('OUTPUT', '-p', 'tcp', '-d', '127.0.0.0/8', '-j', 'RETURN');
    nat('OUTPUT', '-p', 'tcp', '-j', 'REDIRECT', '--to-ports', '15001');
    nat('PREROUTING', '-p', 'tcp', '-j', 'REDIRECT', '--to-ports', '15003');
  }
}

function modelOf(mode: PolicyMode): MeshModel {
  const database = [{ name: 'mysql', port: 3306 }];
  return buildMesh(
    snapshotOf({
      config: { ...scenarioConfig, mode, egress: 'allow' },
      services: [
        service('shop', 'cart', { clusterIPs: ['10.96.0.1'] }),
        service('shop', 'vault', { clusterIPs: ['10.96.0.2'], selector: { app: 'nobody' } }),
        service('shop', 'carts', {
          clusterIPs: [],
          headless: true,
          selector: { app: 'cart' },
          ports: [port(8081, 8080, { name: 'http' })],
        }),
        service('shop', 'carts-again', {
          clusterIPs: [],
          headless: true,
          selector: { app: 'cart' },
          ports: [port(8081, 8080, { name: 'http' })],
        }),
        service('shop', 'db-again', {
          clusterIPs: [],
          headless: true,
          selector: { app: 'cart' },
          ports: [port(3306, 3306, { name: 'mysql-db', appProtocol: 'mysql' })],
        }),
        service('shop', 'db', {
          clusterIPs: [],
          headless: true,
          selector: { app: 'cart' },
          ports: [port(3306, 3306, { name: 'mysql-db', appProtocol: 'mysql' })],
        }),
      ],
      pods: [
        pod('shop', 'cart', { ip: serverIp, ports: [{ name: '', port: 8080 }, ...database] }),
        pod('shop', 'web', { ip: clientIp, ports: [] }),
      ],
      smi: [
        routeGroup('shop', 'routes', [{ name: 'items', pathRegex: '/items', methods: ['GET'] }]),
        tcpRoute('shop', 'mysql', [3306]),
        target('shop', 'http', { to: 'cart', from: ['web'], rules: [{ kind: 'HTTPRouteGroup', name: 'routes' }] }),
        target('shop', 'tcp', { to: 'cart', from: ['web'], rules: [{ kind: 'TCPRoute', name: 'mysql' }] }),
      ],
    }),
  ).value;
}

const appSource = `
import { createServer } from 'node:http';
import { createServer as createTcp } from 'node:net';
createServer((q, s) => s.end('cart ' + q.url)).listen(8080, '127.0.0.1');
createServer((q, s) => s.end('unnamed ' + q.url)).listen(9999, '0.0.0.0');
createServer((q, s) => s.end('private ' + q.url)).listen(9998, '127.0.0.1');
createTcp((socket) => { socket.on('error', () => {}); socket.end('220 banner'); }).listen(3306, '127.0.0.1');
`;

describe('Envoy with transparent interception', function () {
  this.timeout(60_000);
  const names = [`tulle-c${process.pid}`, `tulle-s${process.pid}`] as const;
  const [client, server] = names;
  let directory = '';
  let ads: TestAds | undefined;
  let app: ChildProcess | undefined;
  const envoys: RunningEnvoy[] = [];
  const lifetime = { from: Date.now(), lifetime: 3_600_000 };
  const root = createRoot('test', lifetime);

  before(async function () {
    const why = whyNot();
    if (why !== undefined) {
      process.stdout.write(`    skipped: ${why}\n`);
      return this.skip();
    }
    directory = mkdtempSync(join(tmpdir(), 'tulle-netns-'));
    addPods(names);
    writeFileSync(join(directory, 'app.mjs'), appSource);
    app = spawn('ip', ['netns', 'exec', server, process.execPath, join(directory, 'app.mjs')], { stdio: 'ignore' });
    const cache = join(homedir(), '.cache', 'tulle');
    const found = findEnvoy({ path: process.env['PATH'] ?? '', cache, fetch: true }).program;
    const xds = join(directory, 'xds.sock');
    ads = await startAds(xds);
    const published = publish('enforce');
    const started = names.map((name) => {
      const program = join(directory, `${name}.sh`);
      writeFileSync(program, `#!/bin/sh\nexec ip netns exec ${name} '${found}' "$@"\n`);
      chmodSync(program, 0o755);
      return startEnvoy({
        program,
        directory: join(directory, name),
        nodeId: name,
        nodeCluster: name,
        xds: { pipe: { path: xds } },
        otlp: { pipe: { path: join(directory, 'otlp.sock') } },
        env: { TULLE_SOURCE: 'shop/web', PATH: process.env['PATH'] ?? '' },
      });
    });
    envoys.push(...(await Promise.all(started)));
    await published;
    await until(async () => (await ask('http://10.96.0.1/items')).status === '200');
  });

  after(async () => {
    app?.kill('SIGKILL');
    await Promise.all(envoys.map((envoy) => envoy.stop()));
    await ads?.close();
    for (const name of names) run('ip', 'netns', 'del', name);
    if (directory !== '') rmSync(directory, { recursive: true, force: true });
  });

  async function publish(mode: PolicyMode): Promise<void> {
    const model = modelOf(mode);
    const contentOf = (name: string): ProxyContent => {
      const policy = model.pods.get(name) as ProxyPolicy;
      const leaf = createLeaf(root, 'test', { uris: [policy.identity], dnsNames: [] }, lifetime);
      const resources = toXdsResources(policy, transparent);
      return { resources, certificate: leaf.certificate, privateKey: leaf.privateKey, roots: root.certificate };
    };
    await ads?.publish(
      new Map([
        [client, contentOf('shop/web')],
        [server, contentOf('shop/cart')],
      ]),
    );
  }

  /** As an app does it, by curl, in the client's pod; root's own connections are not led to Envoy. */
  function ask(url: string, asRoot = false): Promise<{ status: string; body: string }> {
    const drop = asRoot ? [] : ['setpriv', '--reuid', '65534', '--clear-groups'];
    const curl = ['curl', '-sS', '--http0.9', '-m', '3', '-w', '\n%{http_code}', url];
    return new Promise((resolve) => {
      execFile('ip', ['netns', 'exec', client, ...drop, ...curl], (_error, out) => {
        const at = out.lastIndexOf('\n');
        resolve({ status: out.slice(at + 1), body: out.slice(0, at) });
      });
    });
  }

  /** In the server's pod, those that were closed lately too: who dials itself has thousands. */
  function connections(name: string = server): number {
    return run('ip', 'netns', 'exec', name, 'cat', '/proc/net/tcp', '/proc/net/tcp6').output.split('\n').length;
  }

  it('leads a call to a Service through both sidecars', async () => {
    assert.deepEqual(await ask('http://10.96.0.1/items'), { status: '200', body: 'cart /items' });
  });

  it('refuses what no rule allows, with the reason', async () => {
    const { status, body } = await ask('http://10.96.0.1/other');
    assert.equal(status, '403');
    assert.match(body, /^RBAC: access denied\ntulle: RequestNotAllowed: /);
    assert.match(body, /; trace ([0-9a-f]{32}): tulle suggest --trace \1\n$/);
  });

  it('refuses a Service that may not be reached, by itself', async () => {
    const { status, body } = await ask('http://10.96.0.2/');
    assert.equal(status, '403');
    assert.match(body, /tulle: SourceNotAllowed: shop\/web -> shop\/vault:80 GET \//);
    assert.match(body, /; trace [0-9a-f]{32}\n$/);
  });

  it('leads to the pod of a headless Service that was dialled, and lets the server speak first', async () => {
    assert.equal((await ask(`http://${serverIp}:3306/`)).body, '220 banner');
  });

  it('leads to a pod of a headless Service at its own port too', async () => {
    assert.equal((await ask(`http://${serverIp}:8081/items`)).body, 'cart /items');
    assert.equal((await ask(`http://${serverIp}:8080/items`)).body, 'cart /items');
    assert.equal((await ask(`http://${serverIp}:8080/other`)).status, '403');
  });

  it('leaves alone a port that no Service names in permissive mode, and closes it in enforce mode', async () => {
    assert.equal((await ask(`http://${serverIp}:9999/`)).status, '000');
    await publish('permissive');
    await until(async () => (await ask(`http://${serverIp}:9999/`)).body === 'unnamed /');
    await publish('enforce');
    await until(async () => (await ask(`http://${serverIp}:9999/`)).status === '000');
  });

  it('opens nothing in permissive mode that is closed without a sidecar, and does not dial itself', async () => {
    await publish('permissive');
    await until(async () => (await ask(`http://${serverIp}:9999/`)).body === 'unnamed /');
    // What listens on loopback alone: of the app, and as Envoy's admin API; and the ports of the sidecar itself.
    for (const port of [9998, 15000, 15001, 15003])
      for (const asRoot of [false, true])
        assert.equal((await ask(`http://${serverIp}:${port}/`, asRoot)).status, '000', String(port));
    assert.ok(connections() < 200, `it dialled itself: ${connections()} connections`);
    await publish('enforce');
    await until(async () => (await ask(`http://${serverIp}:9999/`)).status === '000');
  });

  it('does not dial itself for an app that dials its ports', async () => {
    for (const address of ['127.0.0.1', clientIp])
      for (const port of [15001, 15003])
        assert.equal((await ask(`http://${address}:${port}/`)).status, '000', `${address}:${port}`);
    assert.ok(connections(client) < 200, `it dialled itself: ${connections(client)} connections`);
  });

  it('does not go round in circles by packet rules that lead its own connections back', async () => {
    await publish('permissive');
    await until(async () => (await ask(`http://${serverIp}:9999/`)).body === 'unnamed /');
    const own = '-o lo -s 127.0.0.6/32 -p tcp -j RETURN'.split(' ');
    must('ip', 'netns', 'exec', server, 'iptables', '-t', 'nat', '-D', 'OUTPUT', ...own);
    assert.equal((await ask(`http://${serverIp}:9999/`)).status, '000');
    assert.ok(connections() < 200, `it dialled itself: ${connections()} connections`);
    must('ip', 'netns', 'exec', server, 'iptables', '-t', 'nat', '-I', 'OUTPUT', ...own);
    await publish('enforce');
    await until(async () => (await ask(`http://${serverIp}:9999/`)).status === '000');
  });

  it('refuses plaintext in enforce mode, and takes it in permissive mode', async () => {
    const refused = await ask(`http://${serverIp}:8080/items`, true);
    assert.equal(refused.status, '403');
    assert.match(refused.body, /tulle: PlaintextRefused: /);
    assert.equal((await ask(`http://${serverIp}:3306/`, true)).body, '');
    await publish('permissive');
    await until(async () => (await ask(`http://${serverIp}:8080/other`, true)).status === '200');
    await until(async () => (await ask(`http://${serverIp}:3306/`, true)).body === '220 banner');
    assert.equal((await ask('http://10.96.0.1/other')).status, '200');
  });
});
