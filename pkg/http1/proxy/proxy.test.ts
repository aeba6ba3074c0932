import assert from 'node:assert/strict';
import { once } from 'node:events';
import { createServer } from 'node:http';
import type { IncomingMessage, ServerResponse } from 'node:http';
import type { Socket } from 'node:net';
import { listen, RawClient, startApp, startProxy } from '../../../test/support/http1-proxy.ts';
import type { TestProxy, TestProxyOptions } from '../../../test/support/http1-proxy.ts';

const get = (path: string, more = ''): string => `GET ${path} HTTP/1.1\r\nHost: a\r\n${more}\r\n`;
const ok = (body: string, more = ''): string =>
  `HTTP/1.1 200 OK\r\nContent-Length: ${body.length}\r\n${more}\r\n${body}`;

describe('proxy on the codec', () => {
  const open: { close(): void }[] = [];
  const clients: RawClient[] = [];

  afterEach(() => {
    for (const { socket } of clients.splice(0)) socket.destroy();
    for (const it of open.splice(0)) it.close();
  });

  async function proxyTo(port: number, options?: TestProxyOptions): Promise<TestProxy> {
    const proxy = await startProxy(port, options);
    open.push(proxy);
    return proxy;
  }

  /** A proxy in front of an app that answers by script. */
  async function scripted(
    onConnection: (socket: Socket, index: number) => void,
    options?: TestProxyOptions,
  ): Promise<TestProxy> {
    const app = await startApp(onConnection);
    open.push(app);
    return proxyTo(app.port, options);
  }

  /** A proxy in front of an app on node:http. */
  async function served(
    onRequest: (req: IncomingMessage, res: ServerResponse) => void,
    options?: TestProxyOptions,
  ): Promise<TestProxy> {
    const server = createServer({ keepAliveTimeout: 60_000 }, onRequest);
    open.push({
      close() {
        server.closeAllConnections();
        server.close();
      },
    });
    return proxyTo(await listen(server), options);
  }

  function clientOf(proxy: TestProxy): RawClient {
    const client = new RawClient(proxy.port);
    clients.push(client);
    return client;
  }

  /** Answers each request head on a connection with the text that `answer` gives. */
  function answering(answer: (index: number) => string): (socket: Socket) => void {
    return (socket) => {
      let seen = 0;
      let text = '';
      socket.on('data', (chunk: Buffer) => {
        text += chunk.toString('latin1');
        for (let at = text.indexOf('\r\n\r\n'); at >= 0; at = text.indexOf('\r\n\r\n')) {
          text = text.slice(at + 4);
          socket.write(answer(seen++), 'latin1');
        }
      });
    };
  }

  it('uses one upstream connection for requests one after another', async () => {
    let connections = 0;
    const proxy = await scripted((socket) => {
      connections++;
      answering((i) => ok(`answer ${i}`))(socket);
    });
    const client = clientOf(proxy);
    client.send(get('/1'));
    await client.until((text) => text.endsWith('answer 0'));
    client.send(get('/2'));
    await client.until((text) => text.endsWith('answer 1'));
    assert.equal(connections, 1);
    assert.deepEqual(
      proxy.stats.map(({ status, error, responseBytes }) => [status, error, responseBytes]),
      [
        [200, undefined, 8],
        [200, undefined, 8],
      ],
    );
  });

  it('answers pipelined requests in order, its own answers among them', async () => {
    const proxy = await scripted(answering(() => ok('answer')));
    const client = clientOf(proxy);
    client.send(get('/1') + get('/deny') + get('/2') + get('/deny') + get('/3', 'Connection: close\r\n'));
    const text = await client.untilEnd();
    assert.deepEqual(text.match(/answer|RBAC|Connection: close/g), [
      'answer',
      'RBAC',
      'answer',
      'RBAC',
      'Connection: close',
      'answer',
    ]);
  });

  it('answers ten thousand pipelined requests by itself', async () => {
    const proxy = await scripted(() => undefined);
    const client = clientOf(proxy);
    client.send(get('/deny').repeat(10_000) + get('/deny', 'Connection: close\r\n'));
    const text = await client.untilEnd();
    assert.equal(text.split('RBAC').length - 1, 10_001);
  });

  it('keeps the connection when a denied request was all there, and ends it when not', async () => {
    const proxy = await scripted(answering(() => ok('yes')));
    const client = clientOf(proxy);
    client.send('POST /deny HTTP/1.1\r\nHost: a\r\nContent-Length: 5\r\n\r\nhello');
    await client.until((text) => text.includes('RBAC'));
    client.send(get('/1'));
    await client.until((text) => text.endsWith('yes'));
    client.send('POST /deny HTTP/1.1\r\nHost: a\r\nContent-Length: 5\r\n\r\nhell');
    assert.match(await client.untilEnd(), /Connection: close\r\n\r\nRBAC: access denied\n$/);
  });

  it('streams bodies of any framing both ways, byte by byte the same', async () => {
    const proxy = await served((req, res) => {
      if (req.url === '/chunked') req.pipe(res);
      else {
        res.writeHead(200, { 'content-length': req.headers['content-length'] });
        req.pipe(res);
      }
    });
    for (const path of ['/length', '/chunked']) {
      const size = 8 * 1024 * 1024;
      const sent = Buffer.alloc(size, 'tulle');
      const response = await fetch(`http://127.0.0.1:${proxy.port}${path}`, {
        method: 'POST',
        body: sent,
      });
      const back = Buffer.from(await response.arrayBuffer());
      assert.ok(back.equals(sent));
    }
    await proxy.ended(2);
    assert.ok(proxy.stats.every(({ error }) => error === undefined));
  });

  it('holds an upstream back for a client that does not read', async () => {
    const size = 32 * 1024 * 1024;
    let written = 0;
    const proxy = await served((_req, res) => {
      res.writeHead(200, { 'content-length': size });
      const block = Buffer.alloc(64 * 1024);
      const more = (): void => {
        while (written < size && !res.writableNeedDrain) {
          res.write(block);
          written += block.length;
        }
        if (written === size) res.end();
      };
      res.on('drain', more);
      more();
    });
    const client = clientOf(proxy);
    client.send(get('/'));
    await client.until((text) => text.length > 0);
    client.socket.pause();
    // All that fits in between has to fill up: then nothing moves any more.
    let before = -1;
    while (before !== written) {
      before = written;
      for (let i = 0; i < 20; i++) await new Promise((resolve) => setImmediate(resolve));
    }
    assert.ok(written < size, `${written} bytes went into a client that does not read`);
    let received = 0;
    client.socket.on('data', (chunk: Buffer) => {
      received += chunk.length;
    });
    client.socket.resume();
    await proxy.ended(1);
    while (received < size - 64 * 1024) await once(client.socket, 'data');
    assert.equal(proxy.stats[0]?.responseBytes, size);
  });

  it('passes an answer that comes before the end of its request, then ends the connection', async () => {
    const proxy = await scripted((socket) => {
      socket.once('data', () => socket.write(ok('no', 'Connection: close\r\n')));
    });
    const client = clientOf(proxy);
    client.send('POST / HTTP/1.1\r\nHost: a\r\nContent-Length: 1000000\r\n\r\nhello');
    assert.match(await client.untilEnd(), /^HTTP\/1.1 200 OK\r\n(?:.*\r\n)*Connection: close\r\n\r\nno$/);
  });

  it('leaves 100-continue to the app', async () => {
    const proxy = await served((req, res) => {
      req.on('data', () => undefined);
      req.on('end', () => res.end('done'));
    });
    const client = clientOf(proxy);
    client.send('POST / HTTP/1.1\r\nHost: a\r\nContent-Length: 5\r\nExpect: 100-continue\r\n\r\n');
    await client.until((text) => text === 'HTTP/1.1 100 Continue\r\n\r\n');
    client.send('hello');
    await client.until((text) => text.endsWith('done'));
  });

  it('passes early hints, but not to HTTP/1.0', async () => {
    const hints = 'HTTP/1.1 103 Early Hints\r\nLink: </a>\r\n\r\n';
    const proxy = await scripted(answering(() => hints + ok('yes')));
    const client = clientOf(proxy);
    client.send(get('/'));
    await client.until((text) => text.startsWith(hints) && text.endsWith('yes'));
    const old = clientOf(proxy);
    old.send('GET / HTTP/1.0\r\n\r\n');
    assert.match(await old.untilEnd(), /^HTTP\/1.1 200 OK\r\n(?:.*\r\n)*Connection: close\r\n\r\nyes$/);
  });

  it('knows which answers have no body', async () => {
    const answers = [
      'HTTP/1.1 200 OK\r\nContent-Length: 5\r\n\r\n',
      'HTTP/1.1 304 Not Modified\r\nContent-Length: 5\r\n\r\n',
      'HTTP/1.1 204 No Content\r\n\r\n',
      ok('last'),
    ];
    const proxy = await scripted(answering((i) => answers[i]!));
    const client = clientOf(proxy);
    client.send(`HEAD / HTTP/1.1\r\nHost: a\r\n\r\n${get('/304')}${get('/204')}${get('/')}`);
    const text = await client.until((heard) => heard.endsWith('last'));
    assert.equal(text, answers.join(''));
  });

  it('gives bodies that last until the end of the connection an end of their own', async () => {
    const proxy = await scripted((socket) => {
      socket.once('data', () => socket.end('HTTP/1.1 200 OK\r\n\r\nhello'));
    });
    const client = clientOf(proxy);
    client.send(get('/'));
    await client.until((text) => text.endsWith('Transfer-Encoding: chunked\r\n\r\n5\r\nhello\r\n0\r\n\r\n'));
    const old = clientOf(proxy);
    old.send('GET / HTTP/1.0\r\n\r\n');
    assert.match(await old.untilEnd(), /Connection: close\r\n\r\nhello$/);
  });

  it('takes the chunks off for HTTP/1.0', async () => {
    const chunked = 'HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n3\r\nabc\r\n2\r\nde\r\n0\r\n\r\n';
    const proxy = await scripted(answering(() => chunked));
    const client = clientOf(proxy);
    client.send('GET / HTTP/1.0\r\nConnection: keep-alive\r\n\r\n');
    assert.equal(await client.untilEnd(), 'HTTP/1.1 200 OK\r\nConnection: close\r\n\r\nabcde');
  });

  it('tries again when a kept-alive connection turns out to be closed', async () => {
    const proxy = await scripted((socket, index) => {
      if (index === 0) {
        socket.once('data', () => {
          socket.write(ok('first'));
          socket.once('data', () => socket.destroy());
        });
      } else answering(() => ok('second'))(socket);
    });
    const client = clientOf(proxy);
    client.send(get('/'));
    await client.until((text) => text.endsWith('first'));
    client.send(get('/'));
    await client.until((text) => text.endsWith('second'));
    assert.equal(proxy.stats[1]?.attempts, 2);
  });

  it('does not repeat what may have been done', async () => {
    const proxy = await scripted((socket) => {
      socket.once('data', () => {
        socket.write(ok('first'));
        socket.once('data', () => socket.destroy());
      });
    });
    const client = clientOf(proxy);
    client.send(get('/'));
    await client.until((text) => text.endsWith('first'));
    client.send('POST / HTTP/1.1\r\nHost: a\r\nContent-Length: 0\r\n\r\n');
    await client.until((text) => text.endsWith('reset'));
    assert.equal(proxy.stats[1]?.error, 'reset');
  });

  it('says so when there is no upstream, or too many connections to it', async () => {
    const app = await startApp(() => undefined);
    app.close();
    const client = clientOf(await proxyTo(app.port));
    client.send(get('/'));
    await client.until((text) => text.endsWith('connect'));

    const proxy = await scripted(() => undefined, { maxConnections: 1 });
    clientOf(proxy).send(get('/'));
    const second = clientOf(proxy);
    second.send(get('/'));
    await second.until((text) => text.endsWith('overload'));
  });

  it('breaks off an answer that its upstream broke off', async () => {
    const proxy = await scripted((socket) => {
      socket.once('data', () => socket.end('HTTP/1.1 200 OK\r\nContent-Length: 10\r\n\r\nhello'));
    });
    const client = clientOf(proxy);
    client.send(get('/'));
    await proxy.ended(1);
    await client.untilEnd();
    assert.equal(proxy.stats[0]?.error, 'reset');
  });

  for (const [name, bad] of [
    ['framed in two ways', 'HTTP/1.1 200 OK\r\nContent-Length: 5\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\n'],
    ['of another protocol', 'SSH-2.0-OpenSSH\r\n\r\n'],
    ['with a switch that nobody asked for', 'HTTP/1.1 101 X\r\nConnection: upgrade\r\nUpgrade: h2c\r\n\r\n'],
    ['of endless interim ones', 'HTTP/1.1 103 Early Hints\r\n\r\n'.repeat(40)],
  ] as const) {
    it(`refuses an answer ${name}`, async () => {
      const proxy = await scripted(answering(() => bad));
      const client = clientOf(proxy);
      client.send(get('/'));
      await client.until((text) => text.endsWith('badResponse'));
    });
  }

  it('never gives bytes behind an answer to the next request', async () => {
    const proxy = await scripted(answering((i) => ok(`answer ${i}`) + (i === 0 ? ok('poison') : '')));
    const client = clientOf(proxy);
    client.send(get('/'));
    await client.until((text) => text.endsWith('answer 0'));
    client.send(get('/'));
    await client.until((text) => text.split('answer 0').length === 3);
    assert.ok(!client.text.includes('poison'));
  });

  it('drops the upstream when the client is gone', async () => {
    let app: Socket | undefined;
    const proxy = await scripted(
      (socket) => {
        app = socket;
        socket.once('data', () => client.socket.destroy());
      },
      { halfClosed: 0 },
    );
    const client = clientOf(proxy);
    client.send(get('/'));
    await proxy.ended(1);
    assert.equal(proxy.stats[0]?.error, 'clientGone');
    if (app?.readableEnded === false) await once(app.resume(), 'end');
  });

  it('answers a client that has ended its side, unless that means that it is gone', async () => {
    const slow = (socket: Socket): void => {
      socket.once('data', () => setImmediate(() => socket.write(ok('yes'))));
    };
    const patient = clientOf(await scripted(slow));
    patient.socket.end(get('/'));
    assert.match(await patient.untilEnd(), /yes$/);
    const strict = await scripted(() => undefined, { halfClosed: 0 });
    clientOf(strict).socket.end(get('/'));
    await strict.ended(1);
    assert.equal(strict.stats[0]?.error, 'clientGone');
  });

  it('refuses what is malformed, and breaks off bodies that are', async () => {
    const seen: string[] = [];
    const proxy = await scripted((socket) => socket.on('data', (chunk: Buffer) => seen.push(chunk.toString())));
    const client = clientOf(proxy);
    client.send('GET / HTTP/1.1\nHost: a\n\n');
    assert.match(await client.untilEnd(), /^HTTP\/1.1 400 Bad Request\r\n(?:.*\r\n)*\r\nbareLineEnd$/);
    const other = clientOf(proxy);
    other.send('POST / HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: chunked\r\n\r\n5\r\nhelloX');
    await other.untilEnd();
    assert.equal(proxy.stats[0]?.error, 'chunkEnd');
    assert.ok(!seen.join('').includes('0\r\n\r\n'));
  });

  it('ends what stays silent', async () => {
    const proxy = await scripted(() => undefined);
    const idle = clientOf(proxy);
    const slow = clientOf(proxy);
    const waiting = clientOf(proxy);
    await once(idle.socket, 'connect');
    slow.send('GET / HT');
    const forwarded = new Promise<void>((resolve) => waiting.socket.once('connect', () => resolve()));
    await forwarded;
    waiting.send(get('/'));
    // Let the bytes arrive: an exchange over another connection takes as long.
    const probe = clientOf(proxy);
    probe.send(get('/deny'));
    await probe.until((text) => text.includes('RBAC'));
    for (let i = 0; i < 40; i++) proxy.deadlines.tick();
    assert.match(await slow.untilEnd(), /408 Request Timeout/);
    await idle.untilEnd();
    for (let i = 0; i < 300; i++) proxy.deadlines.tick();
    await waiting.until((text) => text.startsWith('HTTP/1.1 504 ') && text.endsWith('timeout'));
  });

  it('joins both sides when both agree to switch', async () => {
    const proxy = await scripted((socket) => {
      socket.once('data', (chunk: Buffer) => {
        assert.match(chunk.toString(), /Connection: Upgrade\r\nUpgrade: websocket\r\n/);
        socket.write('HTTP/1.1 101 Switching Protocols\r\nConnection: Upgrade\r\nUpgrade: websocket\r\n\r\nhi');
        socket.pipe(socket);
      });
    });
    const client = clientOf(proxy);
    client.send(`${get('/', 'Connection: Upgrade\r\nUpgrade: websocket\r\n')}early`);
    await client.until((text) => text.endsWith('hiearly'));
    client.socket.end('late');
    assert.match(await client.untilEnd(), /hiearlylate$/);
    await proxy.ended(1);
    assert.equal(proxy.stats[0]?.error, undefined);
  });

  it('cuts a tunnel when told', async () => {
    const proxy = await scripted(
      answering(() => 'HTTP/1.1 101 X\r\nConnection: Upgrade\r\nUpgrade: websocket\r\n\r\n'),
    );
    const client = clientOf(proxy);
    client.send(get('/', 'Connection: Upgrade\r\nUpgrade: websocket\r\n'));
    await client.until((text) => text.includes('101'));
    proxy.tunnels.destroyAll();
    await client.untilEnd();
  });

  it('goes on with HTTP when the app declines to switch, and offers no HTTP/2', async () => {
    const heads: string[] = [];
    const proxy = await scripted((socket) => {
      socket.on('data', (chunk: Buffer) => {
        heads.push(chunk.toString());
        socket.write(ok(`answer ${heads.length}`));
      });
    });
    const client = clientOf(proxy);
    client.send(get('/1', 'Connection: Upgrade\r\nUpgrade: websocket\r\n') + get('/2'));
    await client.until((text) => text.endsWith('answer 2'));
    client.send(get('/3', 'Connection: Upgrade, HTTP2-Settings\r\nUpgrade: h2c\r\nHTTP2-Settings: AA\r\n'));
    await client.until((text) => text.endsWith('answer 3'));
    assert.equal(heads[2], get('/3'));
  });

  it('gives a socket away with what was read of it', async () => {
    const taken = new Promise<string>((resolve) => {
      void scripted(() => undefined, {
        onTake(socket, rest) {
          socket.destroy();
          resolve(rest.toString());
        },
      }).then((proxy) => clientOf(proxy).send(`${get('/take')}more`));
    });
    assert.equal(await taken, 'more');
  });

  it('drains: idle connections end at once, busy ones with their answer', async () => {
    const proxy = await scripted(answering(() => ok('yes')));
    const client = clientOf(proxy);
    client.send(get('/'));
    await client.until((text) => text.endsWith('yes'));
    proxy.draining = true;
    client.send(get('/'));
    assert.match(await client.untilEnd(), /Connection: close\r\n\r\nyes$/);
    proxy.draining = false;
    const idle = clientOf(proxy);
    idle.send(get('/'));
    await idle.until((text) => text.endsWith('yes'));
    proxy.frontend.drain();
    await idle.untilEnd();
  });
});
