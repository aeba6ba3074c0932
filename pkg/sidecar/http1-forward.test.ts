import assert from 'node:assert/strict';
import { once } from 'node:events';
import { Agent, createServer, request } from 'node:http';
import type { IncomingMessage, RequestListener, Server } from 'node:http';
import type { AddressInfo } from 'node:net';
import { allow, createTestMesh, readAll } from '../../test/support/sidecar-mesh.ts';
import type { TestMesh, TestSidecar } from '../../test/support/sidecar-mesh.ts';

describe('HTTP/1.1 through two sidecars', () => {
  let mesh: TestMesh;
  let client: TestSidecar;
  let server: TestSidecar;
  let app: Server;
  let handler: RequestListener;
  const agent = new Agent({ keepAlive: true });

  before(async () => {
    mesh = await createTestMesh();
    app = createServer((req, res) => handler(req, res)).listen(0, '127.0.0.1');
    app.keepAliveTimeout = 0;
    await once(app, 'listening');
    client = await mesh.start({ namespace: 'shop', account: 'web' });
    server = await mesh.start({
      namespace: 'shop',
      account: 'cart',
      inbound: {
        ports: [{ port: 8080, protocol: 'http', services: ['shop/cart'] }],
        rules: [allow([client.identity])],
      },
      appPorts: { 8080: (app.address() as AddressInfo).port },
    });
    mesh.expose({ namespace: 'shop', name: 'cart', port: 80, targetPort: 8080 }, [server], [client]);
    await Promise.all([client.ready(), server.ready()]);
  });

  after(async () => {
    agent.destroy();
    app.closeAllConnections();
    app.close();
    await mesh.stop();
  });

  beforeEach(() => server.setRules([allow([client.identity])]));

  async function call(options: {
    method?: string;
    path?: string;
    headers?: Record<string, string | string[]>;
    body?: string | Buffer;
    trailers?: Record<string, string>;
  }) {
    const req = request({
      host: '127.0.0.1',
      port: client.portOf('shop/cart:80'),
      agent,
      method: options.method ?? 'GET',
      path: options.path ?? '/',
      headers: { host: 'cart.shop', ...options.headers },
    });
    if (options.trailers) {
      req.write(options.body ?? '');
      req.addTrailers(options.trailers);
    }
    req.end(options.trailers ? undefined : options.body);
    const [res] = (await once(req, 'response')) as [IncomingMessage];
    const body = await readAll(res);
    return {
      status: res.statusCode,
      headers: res.headers,
      raw: res.rawHeaders,
      body,
      trailers: res.trailers,
    };
  }

  it('passes request and answer', async () => {
    handler = (req, res) => {
      void readAll(req).then((body) =>
        res.setHeader('x-app', 'yes').end(`${req.method} ${req.url} ${req.headers.host} ${body}`),
      );
    };
    const { status, headers, body } = await call({
      method: 'POST',
      path: '/a?b=1',
      body: 'hello',
    });
    assert.equal(status, 200);
    assert.equal(headers['x-app'], 'yes');
    assert.equal(body, 'POST /a?b=1 cart.shop hello');
  });

  it('passes trailers both ways', async () => {
    handler = (req, res) => {
      res.writeHead(200, { trailer: 'x-sum' });
      void readAll(req).then((body) => {
        res.write(body);
        res.addTrailers({ 'x-sum': String(req.trailers['x-count']) });
        res.end();
      });
    };
    const { trailers, body } = await call({
      method: 'POST',
      headers: { 'transfer-encoding': 'chunked' },
      body: 'abc',
      trailers: { 'x-count': '3' },
    });
    assert.equal(body, 'abc');
    assert.deepEqual({ ...trailers }, { 'x-sum': '3' });
  });

  it('denies with 403, a body and a reason, on a connection that was allowed before', async () => {
    handler = (_req, res) => res.end('ok');
    assert.equal((await call({})).status, 200);
    server.setRules([]);
    const { status, headers, body } = await call({ path: '/secret' });
    assert.equal(status, 403);
    assert.equal(headers['x-tulle-reason'], 'NoTarget');
    assert.match(
      body,
      /^RBAC: access denied\ntulle: NoTarget: shop\/web -> shop\/cart:8080 GET \/secret; ask: tulle explain /,
    );
  });

  it('normalises the path for the app, and refuses escaped slashes', async () => {
    handler = (req, res) => res.end(req.url);
    assert.equal((await call({ path: '/x/%2e%2e//b%6foks?q=//' })).body, '/books?q=//');
    assert.equal((await call({ path: '/x%2fy' })).status, 400);
  });

  it('removes reserved headers from the app of either side, and sets the peer certificate', async () => {
    handler = (req, res) => {
      res.setHeader('x-tulle-reason', 'forged').setHeader('x-envoy-upstream', 'x');
      res.end(JSON.stringify(req.headers));
    };
    const { headers, body } = await call({
      headers: {
        'x-envoy-retry-on': '5xx',
        'x-tulle-a': '1',
        'x-forwarded-client-cert': 'By=me',
        'x-keep': '1',
        connection: 'x-drop',
        'x-drop': '1',
      },
    });
    const seen = JSON.parse(body) as Record<string, string>;
    assert.equal(headers['x-tulle-reason'], undefined);
    assert.equal(headers['x-envoy-upstream'], undefined);
    assert.equal(seen['x-envoy-retry-on'], undefined);
    assert.equal(seen['x-tulle-a'], undefined);
    assert.equal(seen['x-drop'], undefined);
    assert.equal(seen['x-keep'], '1');
    assert.match(
      seen['x-forwarded-client-cert'] as string,
      /^By=spiffe:\/\/cluster\.local\/ns\/shop\/sa\/cart;Hash=[0-9a-f]{64};URI=spiffe:\/\/cluster\.local\/ns\/shop\/sa\/web$/,
    );
  });
});
