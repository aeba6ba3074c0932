import assert from 'node:assert/strict';
import { once } from 'node:events';
import { createServer, type Http2Server, type ServerHttp2Session } from 'node:http2';
import { type AddressInfo, createServer as createSocketServer } from 'node:net';
import type { Http2Connection } from '../http2/connection.ts';
import { createHttp2Pool, type Http2Pool } from './http2-pool.ts';
import { toPlainUpstream } from './upstream.ts';
import type { Upstream } from './upstream.ts';

const get = [':method', 'GET', ':scheme', 'http', ':path', '/', ':authority', 'a'];

describe('a pool of HTTP/2 connections', function () {
  this.timeout(60_000);
  let pool: Http2Pool;
  let server: Http2Server;
  let sessions: ServerHttp2Session[];
  let hold: boolean;

  beforeEach(() => {
    pool = createHttp2Pool({ streamsPerConnection: 10, maxConnections: 2, idleTimeout: 60_000 });
    sessions = [];
    hold = false;
  });

  afterEach(() => {
    pool.close();
    for (const session of sessions) session.destroy();
    server?.close();
  });

  async function serve(maxConcurrentStreams: number): Promise<Upstream> {
    server = createServer({ settings: { maxConcurrentStreams } }).listen(0, '127.0.0.1');
    server.on('session', (session) => sessions.push(session));
    server.on('stream', (stream) => {
      stream.on('error', () => undefined);
      if (!hold) setImmediate(() => !stream.destroyed && stream.respond({ ':status': 204 }, { endStream: true }));
    });
    await once(server, 'listening');
    return toPlainUpstream('127.0.0.1', (server.address() as AddressInfo).port);
  }

  function ask(upstream: Upstream, wanted: () => boolean = () => true): Promise<string> {
    return new Promise((resolve) => {
      let status = '';
      pool.acquire(upstream, {
        get wanted() {
          return wanted();
        },
        failed: () => resolve('failed'),
        ready(connection: Http2Connection) {
          connection.request(get, true, {
            headers: (block) => (status = block[1] ?? ''),
            data: () => undefined,
            closed: (code) => resolve(code === 0 ? status : `code ${code}`),
          });
        },
      });
    });
  }

  it('keeps to the streams that its peer allows, and to its own number of connections: the others wait', async () => {
    const upstream = await serve(3);
    const answers = await Promise.all(Array.from({ length: 200 }, () => ask(upstream)));
    assert.deepEqual(new Set(answers), new Set(['204']));
    assert.equal(sessions.length, 2);
  });

  it('fails a burst beyond what may wait, at once', async () => {
    const upstream = await serve(3);
    hold = true;
    let failed = 0;
    for (let i = 0; i < 1100; i++) void ask(upstream).then((answer) => (failed += answer === 'failed' ? 1 : 0));
    await new Promise((resolve) => setImmediate(resolve));
    assert.equal(failed, 1100 - 1024);
  });

  it('does not serve who has gone while it waited', async () => {
    const upstream = await serve(1);
    let gone = false;
    const asked = ask(upstream, () => !gone);
    gone = true;
    assert.equal(await ask(upstream), '204');
    assert.equal(await Promise.race([asked, Promise.resolve('not served')]), 'not served');
  });

  it('says that an upstream which refuses connections, or speaks something else, is not there', async () => {
    const upstream = await serve(1);
    server.close();
    await once(server, 'close');
    assert.equal(await ask(upstream), 'failed');
    const other = createSocketServer((socket) => {
      socket.on('error', () => undefined);
      socket.resume();
      socket.write('HTTP/1.1 400 Bad Request\r\n\r\n');
    }).listen(0, '127.0.0.1');
    await once(other, 'listening');
    assert.equal(await ask(toPlainUpstream('127.0.0.1', (other.address() as AddressInfo).port)), 'failed');
    other.close();
  });

  it('opens another connection once the last one has gone', async () => {
    const upstream = await serve(10);
    assert.equal(await ask(upstream), '204');
    sessions[0]?.destroy();
    await new Promise((resolve) => setTimeout(resolve, 50));
    assert.equal(await ask(upstream), '204');
    assert.equal(sessions.length, 2);
  });
});
