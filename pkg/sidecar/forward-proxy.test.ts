import assert from 'node:assert/strict';
import { once } from 'node:events';
import { createServer, request } from 'node:http';
import type { IncomingMessage, Server } from 'node:http';
import { connect as connectHttp2 } from 'node:http2';
import { connect } from 'node:net';
import type { AddressInfo, Socket } from 'node:net';
import { startEchoApps, tcpBanner } from '../../test/support/echo-apps.ts';
import type { EchoApps } from '../../test/support/echo-apps.ts';
import { allow, createTestMesh, readAll } from '../../test/support/sidecar-mesh.ts';
import type { TestMesh, TestSidecar } from '../../test/support/sidecar-mesh.ts';

const secret = 's3cret';
const authorization = `Basic ${Buffer.from(`w:${secret}`).toString('base64')}`;

describe('the forward proxy', () => {
  let mesh: TestMesh;
  let client: TestSidecar;
  let server: TestSidecar;
  let apps: EchoApps;
  let outside: Server;
  let outsidePort: number;

  before(async () => {
    mesh = await createTestMesh();
    apps = await startEchoApps();
    outside = createServer((req, res) => res.end(`outside ${req.url} ${req.headers['proxy-authorization']}`)).listen(
      0,
      '127.0.0.1',
    );
    await once(outside, 'listening');
    outsidePort = (outside.address() as AddressInfo).port;
    client = await mesh.start({ namespace: 'shop', account: 'web', outbound: { kind: 'proxy', port: 0, secret } });
    server = await mesh.start({
      namespace: 'shop',
      account: 'cart',
      inbound: {
        ports: [
          { port: 8080, protocol: 'http', services: ['shop/cart'] },
          { port: 3306, protocol: 'tcp-server-first', services: ['shop/db'] },
        ],
      },
      appPorts: { 8080: apps.portOf('http'), 3306: apps.portOf('tcp-server-first') },
    });
    mesh.expose({ namespace: 'shop', name: 'cart', port: 8000, targetPort: 8080 }, [server], [client]);
    mesh.expose({ namespace: 'shop', name: 'db', port: 3306, protocol: 'tcp-server-first' }, [server], [client]);
    mesh.expose({ namespace: 'shop', name: 'two', port: 81, targetPort: 8080 }, [server], [client]);
    mesh.expose({ namespace: 'shop', name: 'two', port: 82, targetPort: 8080 }, [server], [client]);
    await Promise.all([client.ready(), server.ready()]);
  });

  beforeEach(() => server.setRules([allow([client.identity])]));

  after(async () => {
    outside.closeAllConnections();
    outside.close();
    apps.stop();
    await mesh.stop();
  });

  const proxyPort = (): number => client.proxy?.port ?? 0;

  async function get(
    path: string,
    headers: Record<string, string> = {},
  ): Promise<{ status: number; body: string; headers: IncomingMessage['headers'] }> {
    const host = /^http:\/\/([^/]+)/.exec(path)?.[1] ?? '';
    const req = request({
      host: '127.0.0.1',
      port: proxyPort(),
      path,
      headers: { host, 'proxy-authorization': authorization, ...headers },
    }).end();
    const [res] = (await once(req, 'response')) as [IncomingMessage];
    return { status: res.statusCode ?? 0, body: await readAll(res), headers: res.headers };
  }

  async function tunnel(
    authority: string,
    auth = authorization,
  ): Promise<{ socket: Socket; status: number; body: string }> {
    const req = request({
      host: '127.0.0.1',
      port: proxyPort(),
      method: 'CONNECT',
      path: authority,
      headers: { 'proxy-authorization': auth },
    }).end();
    const [res, socket, head] = (await once(req, 'connect')) as [IncomingMessage, Socket, Buffer];
    if (head.length > 0) socket.unshift(head);
    return { socket, status: res.statusCode ?? 0, body: '' };
  }

  it('asks for the secret of its workload', async () => {
    for (const wrong of [
      { 'proxy-authorization': '' },
      { 'proxy-authorization': `Basic ${Buffer.from('w:x').toString('base64')}` },
    ]) {
      const { status, headers } = await get('http://cart:8000/', wrong);
      assert.equal(status, 407);
      assert.match(String(headers['proxy-authenticate']), /^Basic /);
    }
    const { status, socket } = await tunnel('db.shop:3306', 'Basic eDp5');
    assert.equal(status, 407);
    socket.destroy();
  });

  it('leads names of the mesh to their services, without a port to the only one', async () => {
    for (const host of [
      'cart:8000',
      'cart.shop:8000',
      'cart.shop.svc.cluster.local:8000',
      'cart',
      'cart.shop',
      'CART.shop.',
    ]) {
      const { status, body, headers } = await get(`http://${host}/x`);
      assert.equal(`${status} ${body}`, '200 served', host);
      assert.equal(headers['x-path'], '/x');
    }
  });

  it('says which ports there are when the one asked for is not, or none is', async () => {
    assert.match((await get('http://cart.shop:9/')).body, /no port 9; its ports: 8000/);
    assert.match((await get('http://two.shop/')).body, /names no port; its ports: 81, 82/);
  });

  it('denies by policy, and hosts outside of the mesh unless egress is on', async () => {
    server.setRules([]);
    assert.equal((await get('http://cart.shop:8000/')).headers['x-tulle-reason'], 'NoTarget');
    const denied = await get('http://example.com/');
    assert.equal(denied.status, 403);
    assert.equal(denied.headers['x-tulle-reason'], 'EgressDenied');
    const { status, socket } = await tunnel('example.com:443');
    assert.equal(status, 403);
    socket.destroy();
  });

  it('lets the own machine be reached, without its secret', async () => {
    assert.equal((await get(`http://127.0.0.1:${outsidePort}/a`)).body, 'outside /a undefined');
    const { socket, status } = await tunnel(`localhost:${outsidePort}`);
    assert.equal(status, 200);
    socket.write('GET /b HTTP/1.1\r\nhost: a\r\nconnection: close\r\n\r\n');
    assert.match(await readAll(socket), /outside \/b/);
  });

  it('tunnels TCP, the server first', async () => {
    const { socket, status } = await tunnel('db.shop:3306');
    assert.equal(status, 200);
    assert.equal(await readAll(socket), tcpBanner);
  });

  it('meets tunnels to HTTP services with the policy for requests', async () => {
    server.setRules([
      allow([client.identity], {
        http: [{ name: 'm', origin: { kind: 'HTTPRouteGroup', namespace: 'a', name: 'b' }, path: '/open' }],
      }),
    ]);
    const { socket } = await tunnel('cart.shop:8000');
    socket.write('GET /open HTTP/1.1\r\nhost: a\r\n\r\nGET /closed HTTP/1.1\r\nhost: a\r\nconnection: close\r\n\r\n');
    const text = await readAll(socket);
    assert.match(text, /^HTTP\/1\.1 200 .*HTTP\/1\.1 403 .*RequestNotAllowed/s);
  });

  it('meets gRPC in a tunnel with the policy for requests', async () => {
    server.setRules([
      allow([client.identity], {
        http: [{ name: 'm', origin: { kind: 'HTTPRouteGroup', namespace: 'a', name: 'b' }, path: '/t.E/Ok' }],
      }),
    ]);
    const { socket } = await tunnel('cart.shop:8000');
    const session = connectHttp2('http://cart.shop:8000', { createConnection: () => socket });
    const statuses: unknown[] = [];
    for (const path of ['/t.E/Ok', '/t.E/No']) {
      const stream = session.request(
        { ':method': 'POST', ':path': path, 'content-type': 'application/grpc' },
        { endStream: true },
      );
      const [headers] = (await once(stream, 'response')) as [Record<string, unknown>];
      statuses.push(headers['grpc-status']);
      stream.close();
    }
    session.close();
    assert.deepEqual(statuses, ['0', '7']);
  });

  it('opens a loopback port for each TCP service', async () => {
    const socket = connect({ host: '127.0.0.1', port: client.portOf('shop/db:3306') });
    assert.equal(await readAll(socket), tcpBanner);
  });

  it('says that it has no policy before it has one', async () => {
    const bare = await mesh.start({
      namespace: 'shop',
      account: 'new',
      bare: true,
      outbound: { kind: 'proxy', port: 0, secret },
    });
    const req = request({
      host: '127.0.0.1',
      port: bare.proxy?.port,
      path: 'http://cart.shop/',
      headers: { 'proxy-authorization': authorization },
    }).end();
    const [res] = (await once(req, 'response')) as [IncomingMessage];
    assert.equal(res.statusCode, 403);
    assert.match(await readAll(res), /^RBAC: access denied\ntulle: NoPolicy: /);
  });
});
