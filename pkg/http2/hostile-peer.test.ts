import assert from 'node:assert/strict';
import { once } from 'node:events';
import { type AddressInfo, connect, createServer, type Server, type Socket } from 'node:net';
import { Deadlines } from '../http1/proxy/deadlines.ts';
import type { ConnectionLimits, ConnectionOptions } from './connection-options.ts';
import { Http2Connection } from './connection.ts';
import { errorCode } from './error-codes.ts';
import { preface, toFrame, toGoaway, toHeaderFrames, toPing, toReset, toSettings, toWindowUpdate } from './frames.ts';
import { HpackDecoder } from './hpack-decoder.ts';
import { HpackEncoder } from './hpack-encoder.ts';
import { IdleWatch } from './idle.ts';
import { Keepalive } from './keepalive.ts';
import type { Http2Stream, StreamReader } from './stream.ts';

const limits: ConnectionLimits = {
  headerBytes: 60 * 1024,
  headerFields: 100,
  streams: 100,
  streamWindow: 64 * 1024,
  connectionWindow: 1024 * 1024,
};
const get = [':method', 'GET', ':scheme', 'http', ':path', '/', ':authority', 'a'];
const post = [':method', 'POST', ...get.slice(2)];
const silent: StreamReader = { headers: () => undefined, data: () => undefined, closed: () => undefined };

interface Frame {
  readonly type: number;
  readonly flags: number;
  readonly id: number;
  readonly payload: Buffer;
}

/** The other side of one of our connections: frames by hand. */
class Peer {
  readonly socket: Socket;
  readonly encoder = new HpackEncoder();
  #bytes: Buffer = Buffer.alloc(0);
  readonly frames: Frame[] = [];
  /** Payload bytes of all DATA. */
  body = 0;

  constructor(socket: Socket) {
    this.socket = socket;
    socket.on('error', () => undefined);
    socket.on('data', (chunk: Buffer) => this.#read(chunk));
  }

  #read(chunk: Buffer): void {
    this.#bytes = Buffer.concat([this.#bytes, chunk]);
    for (;;) {
      const bytes = this.#bytes;
      if (bytes.subarray(0, 24).equals(preface)) this.#bytes = bytes.subarray(24);
      else if (bytes.length < 9 || bytes.length < 9 + bytes.readUIntBE(0, 3)) return;
      else {
        const end = 9 + bytes.readUIntBE(0, 3);
        const [type, flags] = [bytes[3] as number, bytes[4] as number];
        const payload = bytes.subarray(9, end);
        if (type === 0) this.body += payload.length;
        this.frames.push({ type, flags, id: bytes.readUInt32BE(5), payload: type === 0 ? Buffer.alloc(0) : payload });
        this.#bytes = bytes.subarray(end);
      }
    }
  }

  send(...frames: readonly Buffer[]): void {
    this.socket.write(Buffer.concat(frames));
  }

  head(id: number, fields: readonly string[], end = true): Buffer {
    return toHeaderFrames(id, Buffer.from(this.encoder.encode(fields)), end);
  }

  /** All that was sent before has been read, and answered. */
  async settle(): Promise<void> {
    const acks = (): number => this.frames.filter(({ type, flags }) => type === 6 && flags === 1).length;
    const before = acks();
    this.send(toPing(Buffer.alloc(8), false));
    await until(() => acks() > before || this.socket.closed);
  }

  codes(type: 3 | 7): number[] {
    return this.frames
      .filter((frame) => frame.type === type)
      .map(({ payload }) => payload.readUInt32BE(type === 3 ? 0 : 4));
  }
}

/** False: it is not read any more. */
async function drained(socket: Socket, by: Http2Connection): Promise<boolean> {
  let isDrained = false;
  socket.once('drain', () => (isDrained = true));
  await until(() => isDrained || by.halfway);
  return isDrained && !by.halfway;
}

async function until(condition: () => boolean): Promise<void> {
  while (!condition()) await new Promise((resolve) => setTimeout(resolve, 2));
}

describe('an HTTP/2 connection and a peer that means no good', function () {
  this.timeout(60_000);
  let server: Server;
  let sockets: Socket[];
  let ours: Http2Connection;
  let crashes: unknown[];

  beforeEach(async () => {
    sockets = [];
    crashes = [];
    server = createServer({ allowHalfOpen: true }).listen(0, '127.0.0.1');
    await once(server, 'listening');
  });

  afterEach(() => {
    for (const socket of sockets) socket.destroy();
    server.close();
  });

  async function pair(): Promise<[Socket, Socket]> {
    const near = connect({ port: (server.address() as AddressInfo).port, host: '127.0.0.1', noDelay: true });
    const [[far]] = (await Promise.all([once(server, 'connection'), once(near, 'connect')])) as [[Socket], unknown];
    sockets.push(near, far);
    return [near, far];
  }

  async function serve(onRequest: NonNullable<ConnectionOptions['onRequest']>, more: Partial<ConnectionOptions> = {}) {
    const [near, far] = await pair();
    const onCrash = (error: unknown): void => void crashes.push(error);
    ours = new Http2Connection(far, 'server', { limits, now: () => 0, onRequest, onCrash, ...more });
    const peer = new Peer(near);
    peer.send(preface, toSettings([]));
    return { peer, far };
  }

  async function ask(): Promise<Peer> {
    const [near, far] = await pair();
    const peer = new Peer(far);
    peer.send(toSettings([]));
    ours = new Http2Connection(near, 'client', { limits, now: () => 0 });
    await until(() => ours.open);
    return peer;
  }

  function request(fields: readonly string[], bodiless = false) {
    const seen: { heads: (readonly string[])[]; body: number; code: number | undefined } = {
      heads: [],
      body: 0,
      code: undefined,
    };
    ours.request(
      fields,
      true,
      {
        headers: (block) => seen.heads.push(block),
        data: (chunk) => (seen.body += chunk.length),
        closed: (code) => (seen.code = code),
      },
      bodiless,
    );
    return seen;
  }

  it('goes on when what takes a request throws: the stream is reset', async () => {
    const { peer } = await serve((stream, { path }) => {
      if (path === '/throw') throw new Error('broken');
      stream.sendHeaders([':status', '204'], true);
    });
    peer.send(peer.head(1, get.with(5, '/throw')), peer.head(3, get));
    await peer.settle();
    assert.deepEqual(peer.codes(3), [errorCode.internalError]);
    assert.equal(
      peer.frames.some(({ type, id }) => type === 1 && id === 3),
      true,
    );
    assert.match(String(crashes), /broken/);
    assert.equal(ours.streams, 0);
  });

  it('goes on when a reader throws, at its data and at its end', async () => {
    const { peer } = await serve((stream) => {
      const fail = (): never => {
        throw new Error('broken');
      };
      stream.reader = { headers: fail, data: fail, closed: fail };
    });
    peer.send(peer.head(1, post, false), toFrame(0, 0, 1, Buffer.from('x')), peer.head(3, post, false), toReset(3, 8));
    peer.send(peer.head(5, post, false), peer.head(5, ['x-t', '1'], true));
    await peer.settle();
    assert.deepEqual(peer.codes(3), [errorCode.internalError, errorCode.internalError]);
    assert.equal(ours.destroyed, false);
    peer.socket.destroy();
    await until(() => ours.destroyed);
    assert.equal(crashes.length, 5);
  });

  it('sends no RST_STREAM where both sides have come to their end', async () => {
    const { peer } = await serve((stream) => {
      stream.abandonsRest = true;
      stream.sendHeaders([':status', '403'], false);
      stream.sendData(Buffer.from('no'), true);
      stream.reset(errorCode.cancel);
    });
    peer.send(peer.head(1, get));
    await peer.settle();
    assert.deepEqual(peer.codes(3), []);
  });

  it('stops reading a client that does not take its answers, and goes on when it does', async () => {
    const answer = [':status', '200', 'content-type', 'application/grpc', 'grpc-status', '7'];
    let count = 0;
    const { peer, far } = await serve((stream) => {
      stream.sendHeaders([...answer, 'grpc-message', `${count++}`.padEnd(600, 'm')], true);
    });
    await peer.settle();
    peer.socket.pause();
    const total = 40_000;
    for (let i = 0; i < total; i += 100) {
      peer.send(...Array.from({ length: 100 }, (_, n) => peer.head(2 * (i + n) + 3, post)));
    }
    await until(() => ours.halfway);
    await new Promise((resolve) => setTimeout(resolve, 300));
    assert.ok(far.writableLength < 8 * 1024 * 1024, `${far.writableLength} bytes wait`);
    assert.ok(count < total);
    peer.socket.resume();
    await peer.settle();
    assert.equal(count, total);
    assert.equal(ours.halfway, false);
  });

  it('lets a drained client take all of its answer, as slowly as it does', async () => {
    const size = 4 * 1024 * 1024;
    let answered = false;
    const { peer } = await serve((stream) => {
      stream.reader = { ...silent, closed: () => (answered = true) };
      stream.sendHeaders([':status', '200'], false);
      stream.sendData(Buffer.alloc(size), true);
    });
    peer.send(toSettings([[4, 0x7fff_ffff]]), toWindowUpdate(0, 0x7000_0000));
    await peer.settle();
    peer.send(peer.head(1, get));
    ours.drain();
    await until(() => answered);
    peer.socket.pause();
    peer.send(toPing(Buffer.from('tulle-gw'), true));
    await new Promise((resolve) => setTimeout(resolve, 1500));
    peer.socket.resume();
    await until(() => peer.body === size || peer.socket.closed);
    assert.equal(peer.body, size);
  });

  it('says the last stream that counts to a client that does not answer its PING', async () => {
    const { peer } = await serve((stream) => stream.sendHeaders([':status', '204'], true));
    peer.send(peer.head(1, get));
    await peer.settle();
    ours.drain();
    await until(() => peer.frames.filter(({ type }) => type === 7).length === 2);
    const last = peer.frames.filter(({ type }) => type === 7).at(-1);
    assert.equal(last?.payload.readUInt32BE(0), 1);
  });

  it('ends a flood of SETTINGS, and not a client that cancels half of its calls', async () => {
    const { peer } = await serve((stream) => {
      stream.reader = silent;
      if (stream.remoteEnded) stream.sendHeaders([':status', '204'], true);
    });
    for (let i = 0; i < 1500; i++) {
      peer.send(peer.head(4 * i + 1, post, false), toReset(4 * i + 1, 8), peer.head(4 * i + 3, get));
    }
    await peer.settle();
    assert.equal(ours.failure, undefined);
    peer.send(...Array.from({ length: 1100 }, () => toSettings([])));
    await until(() => ours.destroyed);
    assert.match(ours.failure ?? '', /lead nowhere/);
  });

  it('is not kept busy by window updates of a client with many streams that wait', async () => {
    const { peer } = await serve((stream) => {
      stream.reader = silent;
      stream.sendHeaders([':status', '200'], false);
      stream.sendData(Buffer.alloc(1000), true);
    });
    peer.send(toSettings([[4, 0]]));
    for (let i = 0; i < 100; i++) peer.send(peer.head(2 * i + 1, get));
    await peer.settle();
    const started = process.cpuUsage();
    peer.send(...Array.from({ length: 50_000 }, () => toWindowUpdate(0, 1)));
    await peer.settle();
    const { user } = process.cpuUsage(started);
    assert.ok(user < 1_500_000, `${user} µs`);
    assert.equal(ours.streams, 100);
  });

  it('gives back the window of what a reset stream had not dealt with', async () => {
    let stream: Http2Stream | undefined;
    const { peer } = await serve((opened) => {
      stream = opened;
      opened.reader = silent;
    });
    const chunk = Buffer.alloc(16_000);
    for (let i = 0; i < 50; i++) {
      const id = 2 * i + 1;
      peer.send(
        peer.head(id, post, false),
        ...Array.from({ length: 4 }, () => toFrame(0, 0, id, chunk)),
        toReset(id, 8),
      );
      await peer.settle();
    }
    assert.equal(stream?.closed, true);
    assert.equal(ours.failure, undefined);
    const returned = peer.frames
      .filter(({ type, id }) => type === 8 && id === 0)
      .reduce((sum, { payload }) => sum + payload.readUInt32BE(0), 0);
    assert.ok(returned > 50 * 64_000 - 1024 * 1024);
  });

  it('counts padding in the window, and gives it back', async () => {
    const { peer } = await serve((stream) => {
      stream.reader = { ...silent, data: (chunk) => stream.consumed(chunk.length) };
    });
    peer.send(peer.head(1, post, false));
    const padded = Buffer.concat([Buffer.from([255]), Buffer.from('x'), Buffer.alloc(255)]);
    for (let i = 0; i < 2000; i++) {
      peer.send(toFrame(0, 8, 1, padded));
      if (i % 100 === 99) await peer.settle();
    }
    assert.equal(ours.failure, undefined);
    assert.deepEqual(peer.codes(3), []);
  });

  it('ends for DATA of an even stream', async () => {
    const { peer } = await serve((stream) => stream.sendHeaders([':status', '204'], true));
    peer.send(peer.head(3, get), toFrame(0, 0, 2, Buffer.from('x')));
    await until(() => ours.destroyed);
    assert.match(ours.failure ?? '', /stream 2/);
  });

  describe('that answers', () => {
    const refused: Record<
      string,
      readonly [fields: readonly string[], bodiless: boolean, frames: (peer: Peer) => Buffer[]]
    > = {
      'less than it said': [
        get,
        false,
        (peer) => [
          peer.head(1, [':status', '200', 'content-length', '5'], false),
          toFrame(0, 1, 1, Buffer.from('four')),
        ],
      ],
      'nothing of what it said': [get, false, (peer) => [peer.head(1, [':status', '200', 'content-length', '5'])]],
      'HEAD with a body': [
        get,
        true,
        (peer) => [peer.head(1, [':status', '200', 'content-length', '1'], false), toFrame(0, 1, 1, Buffer.from('x'))],
      ],
      '204 with a body': [
        get,
        false,
        (peer) => [peer.head(1, [':status', '204'], false), toFrame(0, 1, 1, Buffer.from('x'))],
      ],
      '204 with a length': [get, false, (peer) => [peer.head(1, [':status', '204', 'content-length', '1'])]],
      '304 with a body': [
        get,
        false,
        (peer) => [peer.head(1, [':status', '304'], false), toFrame(0, 1, 1, Buffer.from('x'))],
      ],
      'a body without a head': [get, false, () => [toFrame(0, 1, 1, Buffer.from('x'))]],
      'no end of interim heads': [
        get,
        false,
        (peer) => Array.from({ length: 40 }, () => peer.head(1, [':status', '103'], false)),
      ],
      'an interim head as the end': [get, false, (peer) => [peer.head(1, [':status', '103'], true)]],
      'trailers that are not the end': [
        get,
        false,
        (peer) => [peer.head(1, [':status', '200'], false), peer.head(1, ['x-t', '1'], false)],
      ],
      'trailers with a pseudo field': [
        get,
        false,
        (peer) => [peer.head(1, [':status', '200'], false), peer.head(1, [':status', '200'], true)],
      ],
      'two heads': [get, false, (peer) => [peer.head(1, [':status', '200', ':status', '200'], true)]],
    };
    for (const [what, [fields, bodiless, frames]] of Object.entries(refused)) {
      it(`loses the stream, and no other, with ${what}`, async () => {
        const peer = await ask();
        const broken = request(fields, bodiless);
        const sound = request(get);
        peer.send(...frames(peer), peer.head(3, [':status', '200']));
        await until(() => broken.code !== undefined && sound.code !== undefined);
        assert.equal(broken.code, errorCode.protocolError);
        assert.equal(sound.code, errorCode.noError);
        assert.equal(ours.failure, undefined);
      });
    }

    it('may tell a length in answers to HEAD, with 304, and after early hints', async () => {
      const peer = await ask();
      const seen = [request(get, true), request(get), request(get)];
      peer.send(peer.head(1, [':status', '200', 'content-length', '9']));
      peer.send(peer.head(3, [':status', '304', 'content-length', '9'], false), toFrame(0, 1, 3, Buffer.alloc(0)));
      peer.send(peer.head(5, [':status', '103'], false), peer.head(5, [':status', '200']));
      await until(() => seen.every(({ code }) => code !== undefined));
      assert.deepEqual(
        seen.map(({ code }) => code),
        [0, 0, 0],
      );
      assert.deepEqual(
        seen[2]?.heads.map(([, status]) => status),
        ['103', '200'],
      );
    });

    it('ends for headers of a stream that nobody opened', async () => {
      const peer = await ask();
      peer.send(peer.head(2, [':status', '200']));
      await until(() => ours.destroyed);
      assert.match(ours.failure ?? '', /stream 2/);
    });

    it('is not asked any more once it goes, and what it has looked at comes to its end', async () => {
      const peer = await ask();
      const [kept, dropped] = [request(get), request(get)];
      peer.send(toGoaway(1, errorCode.noError), peer.head(1, [':status', '200']));
      await until(() => kept.code !== undefined);
      assert.deepEqual([kept.code, dropped.code], [errorCode.noError, errorCode.refusedStream]);
      assert.equal(ours.open, false);
      await until(() => peer.socket.readableEnded);
    });
  });

  it('opens no stream before the settings of its peer, and no more than they allow', async () => {
    const [near, far] = await pair();
    ours = new Http2Connection(near, 'client', { limits, now: () => 0 });
    const peer = new Peer(far);
    await until(() => peer.frames.length > 0);
    assert.equal(ours.open, false);
    peer.send(toSettings([[3, 1]]));
    await until(() => ours.open);
    const only = request(get);
    assert.equal(ours.open, false);
    peer.send(peer.head(1, [':status', '200']));
    await until(() => only.code === 0);
    assert.equal(ours.open, true);
  });

  it('is ended when it is idle for too long, PINGs or not', async () => {
    const deadlines = new Deadlines(1000);
    const idle = new IdleWatch(deadlines, { idle: 5000, headers: 3000 });
    const { peer } = await serve(() => undefined, { onActivity: () => idle.update() });
    idle.start(ours);
    await peer.settle();
    for (let second = 0; second < 8; second++) {
      deadlines.tick();
      await peer.settle();
    }
    assert.equal(ours.draining, true);
  });

  it('answers no flood of PINGs whose answers are not taken: it stops reading, and ends', async () => {
    const { peer, far } = await serve(() => undefined);
    peer.socket.pause();
    const pings = Buffer.concat(Array.from({ length: 4000 }, () => toPing(Buffer.alloc(8), false)));
    let taken = true;
    for (let i = 0; i < 400 && taken; i++) taken = peer.socket.write(pings) || (await drained(peer.socket, ours));
    assert.equal(taken, false);
    assert.equal(ours.halfway, true);
    assert.ok(far.writableLength < 2 * 1024 * 1024, `${far.writableLength} bytes wait`);
  });

  describe('and keeps asking', () => {
    const deadlines = new Deadlines(1000);
    let keepalive: Keepalive;

    beforeEach(() => (keepalive = new Keepalive(deadlines, { silence: 5000, patience: 3000 })));
    afterEach(() => keepalive.stop());

    it('a peer that is silent, and gives it up when it does not answer, with what waits for it', async () => {
      const [near, far] = await pair();
      far.once('data', () => far.write(toSettings([])));
      ours = new Http2Connection(near, 'client', { limits, now: () => 0 });
      await until(() => ours.open);
      keepalive.start(ours);
      const waiting = request(get);
      for (let second = 0; second < 20 && !ours.destroyed; second++) deadlines.tick();
      assert.match(ours.failure ?? '', /does not answer/);
      assert.equal(waiting.code, errorCode.cancel);
    });

    it('a peer that answers, and leaves it in peace while it talks', async () => {
      const peer = await ask();
      const pings = (): Frame[] => peer.frames.filter(({ type, flags }) => type === 6 && flags === 0);
      keepalive.start(ours);
      for (let second = 0; second < 20; second++) {
        deadlines.tick();
        // A PING of its own, which ours answers: it talks.
        await peer.settle();
      }
      assert.equal(pings().length, 0);
      for (let round = 1; round < 4; round++) {
        while (pings().length < round) {
          deadlines.tick();
          await new Promise((resolve) => setTimeout(resolve, 5));
        }
        peer.send(toPing((pings()[round - 1] as Frame).payload, true));
        await until(() => ours.takeHeard());
        // What was heard is for the next look.
        await peer.settle();
      }
      assert.equal(ours.destroyed, false);
    });
  });

  it('reads an answer with another table than its own: what it sends is for whoever decodes it', async () => {
    const { peer } = await serve((stream) => stream.sendHeaders([':status', '200', 'x-a', 'b'], true));
    const decoder = new HpackDecoder({ bytes: 60_000, fields: 100 }, 4096);
    for (let i = 0; i < 3; i++) {
      if (i === 1)
        peer.send(
          toSettings([
            [1, 0],
            [1, 4096],
          ]),
        );
      peer.send(peer.head(2 * i + 1, get));
      await peer.settle();
    }
    const heads = peer.frames.filter(({ type }) => type === 1).map(({ payload }) => decoder.decode(payload).fields);
    assert.deepEqual(
      heads,
      Array.from({ length: 3 }, () => [':status', '200', 'x-a', 'b']),
    );
  });
});
