import assert from 'node:assert/strict';
import { mkdirSync, writeFileSync } from 'node:fs';
import { createServer as createHttpServer, type Server as HttpServer } from 'node:http';
import { createServer, type AddressInfo, type Server } from 'node:net';
import { join } from 'node:path';
import { after, before, describe, it } from 'mocha';
import { startMesh, type RunningMesh } from './running-mesh.ts';
import { eventually, makeFolder } from './tulle-process.ts';

const yaml = `apiVersion: v1
kind: Service
metadata: { name: cart, namespace: shop }
spec: { ports: [{ name: http, port: 80 }], selector: { app: cart } }
`;

function makeMesh(name: string): ReturnType<typeof makeFolder> & { readonly mesh: string } {
  const folder = makeFolder(name);
  const mesh = join(folder.path, 'mesh');
  mkdirSync(mesh);
  writeFileSync(join(mesh, 'shop.yaml'), yaml);
  return { ...folder, mesh };
}

const toPod = (port: number): string => `apiVersion: v1
kind: Pod
metadata: { name: caller, namespace: shop }
spec:
  containers:
  - { name: caller, command: [sh, -c, 'curl -sSf http://host.tulle.internal:${port}/pod; exec sleep 1000'] }
`;

const ask = (port: number, path = '/'): string[] => [
  'curl',
  '-sS',
  '-m',
  '9',
  `http://host.tulle.internal:${port}${path}`,
];

describe('egress of isolated workloads', function () {
  this.timeout(60_000);
  const folder = makeMesh('egress');
  let web: HttpServer;
  let greeter: Server;
  let webPort: number;
  let greeterPort: number;
  let mesh: RunningMesh;

  before(async () => {
    web = createHttpServer((request, answer) => answer.end(`${request.method} ${request.url} ${request.headers.host}`));
    greeter = createServer((socket) => socket.end('220 hello\n'));
    for (const server of [web, greeter]) await new Promise<void>((resolve) => server.listen(0, '127.0.0.1', resolve));
    webPort = (web.address() as AddressInfo).port;
    greeterPort = (greeter.address() as AddressInfo).port;
    writeFileSync(join(folder.mesh, 'pod.yaml'), toPod(webPort));
    const open = [webPort, greeterPort].flatMap((port) => ['--egress-loopback', String(port)]);
    const args = ['up', '-f', folder.mesh, '--isolation', 'isolated', '--egress', 'allow', ...open];
    mesh = await startMesh(folder.mesh, args);
  });
  after(async () => {
    assert.equal(await mesh?.stop(), 0);
    web.close();
    greeter.close();
    folder.remove();
  });

  it('a name leads out, by any port, and the call is recorded', async () => {
    const { code, output } = await mesh.as('shop/client', ask(webPort, '/prices?of=books'));
    assert.deepEqual({ code, output }, { code: 0, output: `GET /prices?of=books host.tulle.internal:${webPort}` });
    const call = await eventually('the call', async () =>
      (await mesh.calls()).find(
        ({ service, source }) => service === `*/host.tulle.internal:${webPort}` && source === 'shop/client',
      ),
    );
    assert.equal(call.verdict, 'allowed');
  });

  it('is the same for the pods of the mesh', async () => {
    const call = await eventually('the call of the pod', async () =>
      (await mesh.calls()).find(({ source }) => source === 'shop/default'),
    );
    assert.deepEqual([call.path, call.status], ['/pod', 200]);
  });

  it('a server that speaks first is heard, though its port says nothing of it', async () => {
    const script = `require('net').connect(${greeterPort}, 'host.tulle.internal').on('data', (d) => process.stdout.write(d))`;
    assert.deepEqual(await mesh.as('shop/client', ['node', '-e', script]), { code: 0, output: '220 hello\n' });
  });

  it('resolvers that read no hosts file know the mesh, and what is in neither', async () => {
    const script = `const { resolve4, resolve6 } = require('dns').promises;
      const say = (asked) => asked.then((a) => a.length, ({ code }) => code);
      Promise.all([resolve4('cart.shop'), resolve6('cart.shop'), resolve4('carrt.shop')].map(say)).then((a) => console.log(a.join()))`;
    const { output } = await mesh.as('shop/client', ['node', '-e', script]);
    assert.equal(output, '1,ENODATA,ENOTFOUND\n');
  });

  it('neither the page nor a port that was not named can be reached', async () => {
    const page = Number(new URL(mesh.api()).port);
    assert.match((await mesh.as('shop/client', ask(page))).output, /^tulle: Unavailable: /);
    await mesh.line(new RegExp(`port ${page} of this machine is not open to the mesh: --egress-loopback ${page}`));
  });

  it('an address of the mesh without such a port is refused at once', async () => {
    const { code } = await mesh.as('shop/client', ['curl', '-sS', '-m', '9', 'http://10.96.255.254:9/']);
    assert.equal(code, 7);
  });
});

describe('egress that is off', function () {
  this.timeout(60_000);
  const folder = makeMesh('no-egress');
  let mesh: RunningMesh;

  before(async () => {
    mesh = await startMesh(folder.mesh, ['up', '-f', folder.mesh, '--isolation', 'isolated', '--logs']);
  });
  after(async () => {
    assert.equal(await mesh?.stop(), 0);
    folder.remove();
  });

  it('an HTTP call by name or address is told why, and what would let it pass', async () => {
    for (const host of ['prices.example:8080', '192.0.2.1:80']) {
      const { code, output } = await mesh.as('shop/client', ['curl', '-sS', '-m', '9', `http://${host}/`]);
      assert.equal(code, 0, output);
      assert.match(output, new RegExp(`EgressDenied: ${host} is not of the mesh, .*--egress allow`));
    }
    const call = await eventually('the call', async () =>
      (await mesh.calls()).find(({ service }) => service === '*/prices.example:8080'),
    );
    assert.equal(call.verdict, 'denied');
    assert.equal(call.reason, 'EgressDenied');
  });

  it('a TLS connection is closed', async () => {
    assert.equal((await mesh.as('shop/client', ['curl', '-sS', '-m', '9', 'https://prices.example/'])).code, 35);
  });
});
