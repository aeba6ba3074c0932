import assert from 'node:assert/strict';
import { once } from 'node:events';
import { Agent, request } from 'node:http';
import { connect, createServer } from 'node:net';
import type { AddressInfo, Socket } from 'node:net';
import { homedir } from 'node:os';
import { join } from 'node:path';
import { buildMesh } from '../../pkg/catalog/build-mesh.ts';
import type { MeshModel } from '../../pkg/catalog/mesh-model.ts';
import type { RawObject } from '../../pkg/catalog/snapshot.ts';
import { findEnvoy } from '../../pkg/local/envoy/find-envoy.ts';
import { until } from '../support/envoy.ts';
import { pod, port, routeGroup, service, snapshotOf, split, target, tcpRoute } from '../support/snapshot.ts';
import { startEnvoyMesh } from './envoy-mesh.ts';
import type { EnvoyMesh, LoadedMesh } from './envoy-mesh.ts';

const agent = new Agent({ keepAlive: true, maxSockets: 1 });

/** A shop with an HTTP service on 80, its two versions, and a database that speaks first on 3306. */
function modelOf(smi: readonly RawObject[]): MeshModel {
  const cart = (name: string, ip: string) => pod('shop', name, { serviceAccount: 'cart', ip });
  const database = [{ name: 'mysql', port: 3306 }];
  const snapshot = snapshotOf({
    services: [
      service('shop', 'cart', { clusterIPs: ['10.96.0.1'], selector: { app: 'cart-v1' } }),
      service('shop', 'cart-v1', { clusterIPs: ['10.96.0.2'] }),
      service('shop', 'cart-v2', { clusterIPs: ['10.96.0.3'] }),
      service('shop', 'db', {
        clusterIPs: ['10.96.0.4'],
        ports: [port(3306, 3306, { name: 'mysql-db', appProtocol: 'mysql' })],
      }),
    ],
    pods: [
      cart('cart-v1', '10.0.0.1'),
      cart('cart-v2', '10.0.0.2'),
      pod('shop', 'db', { ip: '10.0.0.3', ports: database }),
    ],
    smi,
  });
  return buildMesh(snapshot).value;
}

const routes = routeGroup('shop', 'routes', [{ name: 'items', pathRegex: '/items', methods: ['GET'] }]);
const items = { kind: 'HTTPRouteGroup', name: 'routes' };
const mysql = tcpRoute('shop', 'mysql', [3306]);

function toCart(...from: string[]): RawObject {
  return target('shop', 'to-cart', { to: 'cart', from, rules: [items] });
}

function toDb(...from: string[]): RawObject {
  return target('shop', 'to-db', { to: 'db', from, rules: [{ kind: 'TCPRoute', name: 'mysql' }] });
}

describe('Envoy while its policy changes', function () {
  this.timeout(60_000);
  let mesh: EnvoyMesh;
  const sockets = new Set<Socket>();
  const database = createServer((socket) => {
    sockets.add(socket);
    socket.on('error', () => undefined);
    socket.write('220 banner');
    socket.pipe(socket);
  });

  before(async () => {
    const cache = join(homedir(), '.cache', 'tulle');
    const { program } = findEnvoy({ path: process.env['PATH'] ?? '', cache, fetch: true });
    database.listen(0, '127.0.0.1');
    await once(database, 'listening');
    const own = (database.address() as AddressInfo).port;
    mesh = await startEnvoyMesh(program, (protocol) => (protocol === 'tcp-server-first' ? own : undefined));
  });

  after(async () => {
    agent.destroy();
    database.close();
    for (const socket of sockets) socket.destroy();
    await mesh?.stop();
  });

  const place = (loaded: LoadedMesh, from: string, address: string, number: number) =>
    loaded.client(from).loopback.locate(address, number);

  it('refuses on an open connection as soon as a grant is gone, and serves again when it is back', async () => {
    const allowed = modelOf([routes, toCart('web')]);
    const loaded = await mesh.load(allowed, ['shop/web']);
    const at = place(loaded, 'shop/web', '10.96.0.1', 80);
    assert.equal((await get(at, '/items')).status, 200);
    const { port: kept } = await get(at, '/items');
    const start = Date.now();
    await loaded.change(modelOf([routes, toCart('other')]));
    const refused = await get(at, '/items');
    assert.equal(refused.status, 403);
    assert.ok(Date.now() - start < 1_000);
    assert.equal(refused.port, kept, 'the connection of the app was closed');
    await loaded.change(allowed);
    assert.equal((await get(at, '/items')).status, 200);
  });

  it('takes new weights without closing a connection', async () => {
    const weights = (v1: number, v2: number) =>
      modelOf([routes, toCart('web'), split('shop', 'canary', 'cart', { 'cart-v1': v1, 'cart-v2': v2 })]);
    const loaded = await mesh.load(weights(1, 0), ['shop/web']);
    const at = place(loaded, 'shop/web', '10.96.0.1', 80);
    const { port: kept } = await get(at, '/items');
    await loaded.change(weights(0, 1));
    const after = await get(at, '/items');
    assert.deepEqual([after.status, after.port], [200, kept]);
    await loaded.change(weights(0, 0));
    const none = await get(at, '/items');
    assert.deepEqual([none.status, none.port], [503, kept]);
    assert.match(none.body, /^tulle: Unavailable: /);
  });

  it('passes a WebSocket', async () => {
    const loaded = await mesh.load(modelOf([routes, toCart('web')]), ['shop/web']);
    const at = place(loaded, 'shop/web', '10.96.0.1', 80);
    const socket = connect(at);
    const head = 'GET /items HTTP/1.1\r\nhost: cart\r\nconnection: upgrade\r\nupgrade: websocket\r\n';
    socket.write(`${head}sec-websocket-key: dGhlIHNhbXBsZSBub25jZQ==\r\nsec-websocket-version: 13\r\n\r\n`);
    assert.match(await readUntil(socket, '\r\n\r\n'), /^HTTP\/1\.1 101 /);
    socket.write('ping');
    assert.equal(await readUntil(socket, 'ping'), 'ping');
    socket.destroy();
  });

  it('shows nothing of a server that speaks first to a client that may not connect', async () => {
    const loaded = await mesh.load(modelOf([mysql, routes, toDb('web'), toCart('db')]), ['shop/web', 'shop/thief']);
    const allowed = connect(place(loaded, 'shop/web', '10.96.0.4', 3306));
    assert.equal(await readUntil(allowed, 'banner'), '220 banner');
    // A client that has the database among its services by mistake: only the server's Envoy stands in its way.
    const inside = connect({ path: loaded.serverSockets('shop/db', 3306)[0] as string });
    assert.equal(await readAllOf(inside), '');
    const thief = connect(place(loaded, 'shop/thief', '10.96.0.4', 3306));
    assert.equal(await readAllOf(thief), '');
  });

  it('keeps a TCP connection when somebody else is let in, and closes it when its own grant goes', async () => {
    const granted = (...from: string[]) => modelOf([mysql, toDb(...from)]);
    const loaded = await mesh.load(granted('web'), ['shop/web', 'shop/other']);
    const socket = connect(place(loaded, 'shop/web', '10.96.0.4', 3306));
    socket.on('error', () => undefined);
    await once(socket, 'data');
    await loaded.change(granted('web', 'other'));
    const other = connect(place(loaded, 'shop/other', '10.96.0.4', 3306));
    assert.equal(await readUntil(other, 'banner'), '220 banner');
    socket.write('still here');
    assert.equal(await readUntil(socket, 'still here'), 'still here');
    const gone = closed(socket);
    await loaded.change(granted('other'));
    await gone;
    // The others of the port are closed with it, and come back.
    other.destroy();
    const again = connect(place(loaded, 'shop/other', '10.96.0.4', 3306));
    assert.equal(await readUntil(again, 'banner'), '220 banner');
    again.destroy();
  });

  it('closes the TCP connection of one that was let in later when that grant goes, time and again', async () => {
    // The clients' own Envoys would close it too: they are not told, and it is left to that of the server.
    const all = modelOf([mysql, toDb('web', 'other')]);
    const granted = (...from: string[]) => ({ ...all, pods: modelOf([mysql, toDb(...from)]).pods });
    const loaded = await mesh.load(granted('web'), ['shop/web', 'shop/other']);
    const open = async (from: string): Promise<Socket> => {
      const socket = connect(place(loaded, from, '10.96.0.4', 3306));
      assert.equal(await readUntil(socket, 'banner'), '220 banner');
      return socket;
    };
    for (const round of ['first', 'second']) {
      const web = await open('shop/web');
      await loaded.change(granted('web', 'other'));
      const other = await open('shop/other');
      web.write(round);
      assert.equal(await readUntil(web, round), round);
      const gone = closed(other);
      await loaded.change(granted('web'));
      await gone;
      web.destroy();
      assert.equal(await readAllOf(connect(place(loaded, 'shop/other', '10.96.0.4', 3306))), '');
    }
    (await open('shop/web')).destroy();
  });

  it('is never refused by Envoy: no NACK in all of this', () => {
    // `change` and `load` throw at the first one.
    assert.ok(mesh);
  });
});

interface Got {
  readonly status: number;
  readonly body: string;
  /** Own port of the connection: the same for two requests on one connection. */
  readonly port: number;
}

function closed(socket: Socket): Promise<void> {
  return new Promise((resolve) => socket.once('close', () => resolve()));
}

function get({ host, port: number }: { host: string; port: number }, path: string): Promise<Got> {
  return new Promise((resolve, reject) => {
    const call = request({ host, port: number, path, agent }, (answer) => {
      let body = '';
      const own = answer.socket.localPort ?? 0;
      answer.on('data', (chunk: Buffer) => (body += chunk.toString()));
      answer.on('end', () => resolve({ status: answer.statusCode ?? 0, body, port: own }));
    });
    call.on('error', reject);
    call.end();
  });
}

async function readUntil(socket: Socket, end: string): Promise<string> {
  let text = '';
  socket.on('error', () => undefined);
  const take = (chunk: Buffer): void => void (text += chunk.toString());
  socket.on('data', take);
  await until(
    () => text.includes(end) || socket.destroyed,
    () => text,
  );
  socket.off('data', take);
  return text;
}

async function readAllOf(socket: Socket): Promise<string> {
  let text = '';
  socket.on('error', () => undefined);
  socket.on('data', (chunk: Buffer) => (text += chunk.toString()));
  socket.write('hello\r\n\r\n');
  await closed(socket);
  return text;
}
