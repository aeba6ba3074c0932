import assert from 'node:assert/strict';
import { once } from 'node:events';
import { connect, createServer, type AddressInfo, type Server, type Socket } from 'node:net';
import { readAll } from '../../test/support/sidecar-mesh.ts';
import { Intake } from './intake.ts';
import { createTunnels, type Tunnels } from './tunnels.ts';
import { toPlainUpstream } from './upstream.ts';

describe('a tunnel whose server reads past its stream', function () {
  this.timeout(60_000);
  let app: Server;
  let front: Server;
  let tunnels: Tunnels;
  let accept: (socket: Socket) => void;
  let idleTimeout: number;
  let ended: (string | undefined)[];
  let client: Socket;

  beforeEach(async () => {
    tunnels = createTunnels();
    idleTimeout = 60_000;
    ended = [];
    app = createServer({ allowHalfOpen: true }, (socket) => {
      socket.on('error', () => undefined);
      accept(socket);
    }).listen(0, '127.0.0.1');
    await once(app, 'listening');
    front = createServer({ allowHalfOpen: true }, (socket) => void join(socket)).listen(0, '127.0.0.1');
    await once(front, 'listening');
    client = connect({ port: (front.address() as AddressInfo).port, host: '127.0.0.1', allowHalfOpen: true });
    client.on('error', () => undefined);
  });

  afterEach(() => {
    client.destroy();
    tunnels.destroyAll();
    app.close();
    front.close();
  });

  async function join(socket: Socket): Promise<void> {
    const intake = new Intake();
    const upstream = toPlainUpstream('127.0.0.1', (app.address() as AddressInfo).port);
    const server = await upstream.connect('tcp', intake);
    // A server that speaks first has done so before anybody listens.
    await new Promise((resolve) => setTimeout(resolve, 20));
    const onEnd = (error?: string): void => void ended.push(error);
    tunnels.join({ client: socket, server, intake, idleTimeout, stillAllowed: () => true, onEnd });
  }

  it('keeps what came before it was joined, and the order', async () => {
    accept = (socket) => {
      socket.write('first ');
      setTimeout(() => socket.end('then'), 50);
    };
    client.end();
    assert.equal(await readAll(client), 'first then');
    while (ended.length === 0) await new Promise((resolve) => setTimeout(resolve, 2));
    assert.deepEqual(ended, [undefined]);
  });

  it('lets each side end on its own', async () => {
    let said: string | undefined;
    accept = (socket) => {
      socket.end('I have said it; ');
      void readAll(socket).then((text) => (said = text));
    };
    assert.equal(await readAll(client), 'I have said it; ');
    client.end('and I go on');
    while (ended.length === 0 || said === undefined) await new Promise((resolve) => setTimeout(resolve, 2));
    assert.deepEqual([said, ended], ['and I go on', [undefined]]);
  });

  it('holds back a server whose client is slow, and loses nothing', async () => {
    const total = 64 * 1024 * 1024;
    const chunk = Buffer.alloc(1024 * 1024, 'x');
    let written = 0;
    let app: Socket | undefined;
    accept = (socket) => {
      app = socket;
      const push = (): void => {
        while (written < total) {
          written += chunk.length;
          if (!socket.write(chunk)) return;
        }
        socket.end();
      };
      socket.on('drain', push);
      push();
    };
    client.pause();
    let before = -1;
    // Until nothing has moved for a while.
    while (app === undefined || written !== before) {
      before = written;
      await new Promise((resolve) => setTimeout(resolve, 300));
    }
    assert.ok(written < total, `${written} bytes were taken of a server whose client reads nothing`);
    let received = 0;
    client.on('data', (bytes: Buffer) => (received += bytes.length));
    client.resume();
    await once(client, 'end');
    assert.equal(received, total);
  });

  it('is ended when nothing moves for too long', async () => {
    idleTimeout = 1_000;
    accept = () => undefined;
    client.resume();
    await new Promise((resolve) => client.once('close', resolve));
    while (ended.length === 0) await new Promise((resolve) => setTimeout(resolve, 2));
    assert.deepEqual(ended, ['timeout']);
  });
});
