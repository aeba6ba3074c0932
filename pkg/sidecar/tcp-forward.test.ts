import assert from 'node:assert/strict';
import { once } from 'node:events';
import { connect, createServer } from 'node:net';
import type { AddressInfo, Server, Socket } from 'node:net';
import { connect as connectTls } from 'node:tls';
import { createLeaf, createRoot } from '../certs/certificate.ts';
import { toLeafNames } from '../certs/workload-names.ts';
import type { AppProtocol } from '../policy/inbound.ts';
import { allow, createTestMesh, identityOf, readAll } from '../../test/support/sidecar-mesh.ts';
import type { TestMesh, TestSidecar } from '../../test/support/sidecar-mesh.ts';

describe('TCP through two sidecars', () => {
  let mesh: TestMesh;
  let client: TestSidecar;
  let server: TestSidecar;
  let app: Server;
  let accept: (socket: Socket) => void;
  let accepted = 0;

  before(async () => {
    mesh = await createTestMesh();
    app = createServer({ allowHalfOpen: true }, (socket) => {
      accepted += 1;
      socket.on('error', () => undefined);
      accept(socket);
    }).listen(0, '127.0.0.1');
    await once(app, 'listening');
    client = await mesh.start({ namespace: 'shop', account: 'web' });
    const port = (app.address() as AddressInfo).port;
    const ports = (['tcp', 'tcp-server-first', 'http'] as const).map((protocol, i) => ({
      port: 7000 + i,
      protocol,
      services: ['shop/db'],
    }));
    server = await mesh.start({
      namespace: 'shop',
      account: 'db',
      inbound: { ports },
      appPorts: { 7000: port, 7001: port, 7002: port },
    });
    const protocols: AppProtocol[] = ['tcp', 'tcp-server-first', 'http'];
    for (const [i, protocol] of protocols.entries()) {
      mesh.expose({ namespace: 'shop', name: 'db', port: 7000 + i, protocol }, [server], [client]);
    }
    await Promise.all([client.ready(), server.ready()]);
  });

  after(async () => {
    app.close();
    await mesh.stop();
  });

  beforeEach(() => {
    accepted = 0;
    accept = (socket) => socket.pipe(socket);
    server.setRules([allow([client.identity])]);
  });

  const dial = (port: number, allowHalfOpen = false): Socket =>
    connect({
      host: '127.0.0.1',
      port: client.portOf(`shop/db:${port}`),
      allowHalfOpen,
    });

  it('passes bytes both ways and half-closes', async () => {
    accept = (socket) => void readAll(socket).then((text) => socket.end(`got ${text}`));
    const socket = dial(7000, true);
    socket.end('hello');
    assert.equal(await readAll(socket), 'got hello');
  });

  it('lets the server speak first', async () => {
    accept = (socket) => socket.end('220 hello');
    assert.equal(await readAll(dial(7001)), '220 hello');
  });

  it('says nothing to a peer that is refused, and never asks the app', async () => {
    server.setRules([]);
    accept = (socket) => socket.end('220 hello');
    for (const port of [7000, 7001]) assert.equal(await readAll(dial(port)).catch(() => ''), '');
    assert.equal(accepted, 0);
  });

  it('refuses TCP where a rule is for HTTP only', async () => {
    server.setRules([
      allow([client.identity], {
        http: [
          {
            name: 'm',
            origin: { kind: 'HTTPRouteGroup', namespace: 'a', name: 'b' },
          },
        ],
      }),
    ]);
    const socket = dial(7000);
    socket.write('x');
    assert.equal(await readAll(socket).catch(() => ''), '');
    assert.equal(accepted, 0);
  });

  it('ends an open connection when its grant is gone', async () => {
    const socket = dial(7000);
    socket.on('error', () => undefined);
    socket.write('a');
    await once(socket, 'data');
    const closed = new Promise((resolve) => socket.once('close', resolve));
    server.setRules([allow([client.identity], { ports: [7001] })]);
    socket.resume();
    await closed;
  });

  it('ends an open connection when the service is taken out of reach', async () => {
    const socket = dial(7000);
    socket.on('error', () => undefined);
    socket.write('a');
    await once(socket, 'data');
    const closed = new Promise((resolve) => socket.once('close', resolve));
    socket.resume();
    client.push('outbound', {}, ['shop/db:7000']);
    await closed;
    mesh.expose({ namespace: 'shop', name: 'db', port: 7000, protocol: 'tcp' }, [server], [client]);
  });

  it('passes a reset of the app on', async () => {
    accept = (socket) => socket.once('data', () => socket.resetAndDestroy());
    const socket = dial(7000);
    socket.write('x');
    socket.on('error', () => undefined);
    socket.resume();
    await new Promise((resolve) => socket.once('close', resolve));
  });

  it('holds back a writer whose reader is slow', async () => {
    let reader: Socket | undefined;
    accept = (socket) => {
      reader = socket.pause();
    };
    const socket = dial(7000);
    await once(socket, 'connect');
    const chunk = Buffer.alloc(1024 * 1024);
    let written = 0;
    const total = 64;
    // Until the socket takes no more, and has not for a turn of the loop that follows its last byte.
    while (written < total && socket.writableLength < 4 * chunk.length) {
      socket.write(chunk);
      written += 1;
      await new Promise((resolve) => setImmediate(resolve));
    }
    assert.ok(written < total, 'back-pressure reached the client');
    let received = 0;
    const all = new Promise<void>((resolve) => {
      reader?.on('data', (bytes: Buffer) => {
        received += bytes.length;
        if (received === written * chunk.length) resolve();
      });
    });
    reader?.resume();
    await all;
    socket.destroy();
  });

  it('refuses certificates of another root, and plaintext in enforce mode', async () => {
    const other = createRoot('other', { from: Date.now(), lifetime: 60_000 });
    const leaf = createLeaf(other, 'other', toLeafNames(client.identity), {
      from: Date.now(),
      lifetime: 60_000,
    });
    for (const port of [7000, 7001, 7002]) {
      const tls = connectTls({
        path: server.socketPath(port),
        key: leaf.privateKey,
        cert: leaf.certificate,
        ca: mesh.root.certificate,
        checkServerIdentity: () => undefined,
      });
      tls.on('error', () => undefined);
      tls.write('GET / HTTP/1.1\r\nhost: a\r\n\r\n');
      assert.equal(await readAll(tls).catch(() => ''), '');
    }
    const plain = connect({ path: server.socketPath(7000) });
    plain.on('error', () => undefined);
    plain.write('hello');
    assert.equal(await readAll(plain).catch(() => ''), '');
    const http = connect({ path: server.socketPath(7002) });
    http.end('GET / HTTP/1.1\r\nhost: a\r\n\r\n');
    assert.match(await readAll(http), /^HTTP\/1\.1 403 .*x-tulle-reason: PlaintextRefused/is);
    assert.equal(accepted, 0);
  });

  it('takes plaintext in permissive mode, server-first too', async () => {
    server.setRules([], { mode: 'permissive' });
    accept = (socket) => socket.end('220 hello');
    assert.equal(await readAll(connect({ path: server.socketPath(7001) })), '220 hello');
    const plain = connect({ path: server.socketPath(7000) });
    plain.write('x');
    assert.equal(await readAll(plain), '220 hello');
  });

  it('talks to nobody but the identity that the endpoint has', async () => {
    const key = 'shop/db:7000';
    const wrong = mesh.endpointOf(server, 7000, {
      identity: identityOf('shop', 'other'),
    });
    client.push('endpoints', { [key]: { key, endpoints: [wrong] } });
    const socket = dial(7000);
    socket.write('x');
    assert.equal(await readAll(socket).catch(() => ''), '');
    assert.equal(accepted, 0);
    client.push('endpoints', {
      [key]: { key, endpoints: [mesh.endpointOf(server, 7000)] },
    });
  });
});
