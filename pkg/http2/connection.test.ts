import assert from 'node:assert/strict';
import { once } from 'node:events';
import {
  type ClientHttp2Session,
  connect,
  createServer as createHttp2Server,
  type IncomingHttpHeaders,
} from 'node:http2';
import { type AddressInfo, connect as connectSocket, createServer, type Server, type Socket } from 'node:net';
import type { ConnectionLimits, ConnectionOptions } from './connection-options.ts';
import { Http2Connection } from './connection.ts';
import { errorCode } from './error-codes.ts';
import { preface, toFrame, toHeaderFrames, toPing, toReset, toSettings, toWindowUpdate } from './frames.ts';
import { HpackEncoder } from './hpack-encoder.ts';
import type { Http2Stream, StreamReader } from './stream.ts';

const limits: ConnectionLimits = {
  headerBytes: 60 * 1024,
  headerFields: 100,
  streams: 100,
  streamWindow: 256 * 1024,
  connectionWindow: 1024 * 1024,
};

/** Answers with the body of the request, and its length as a trailer. */
function echo(stream: Http2Stream): void {
  stream.carries(stream);
  let bytes = 0;
  const finish = (): void => stream.sendTrailers(['x-bytes', String(bytes)]);
  stream.reader = {
    headers: finish,
    data(chunk, end) {
      bytes += chunk.length;
      stream.sendData(chunk, false);
      if (end) finish();
    },
    closed: () => undefined,
  };
  stream.sendHeaders([':status', '200', 'content-type', 'text/plain'], false);
}

describe('an HTTP/2 server', () => {
  let server: Server;
  let connections: Http2Connection[];
  let onRequest: NonNullable<ConnectionOptions['onRequest']>;
  let session: ClientHttp2Session;

  beforeEach(async () => {
    connections = [];
    onRequest = (stream, _head, end) => {
      echo(stream);
      if (end) stream.sendData(Buffer.from('hello'), true);
    };
    server = createServer({ allowHalfOpen: true }, (socket) => {
      const options: ConnectionOptions = { limits, now: () => 0, onRequest: (...request) => onRequest(...request) };
      connections.push(new Http2Connection(socket, 'server', options));
    }).listen(0, '127.0.0.1');
    await once(server, 'listening');
    session = connect(`http://127.0.0.1:${portOf(server)}`);
    session.on('error', () => undefined);
  });

  afterEach(() => {
    session.destroy();
    for (const connection of connections) connection.destroy();
    server.close();
  });

  async function call(headers: Record<string, string>, body?: Buffer) {
    const stream = session.request(headers, { endStream: body === undefined });
    const trailers: IncomingHttpHeaders[] = [];
    stream.on('trailers', (fields: IncomingHttpHeaders) => trailers.push(fields));
    if (body) stream.end(body);
    const [head] = (await once(stream, 'response')) as [IncomingHttpHeaders];
    let bytes = 0;
    for await (const chunk of stream) bytes += (chunk as Buffer).length;
    return { head, bytes, trailers };
  }

  it('answers, and again on the same connection with fields that it knows', async () => {
    for (let round = 0; round < 50; round++) {
      const { head, bytes } = await call({ ':path': '/', 'x-round': String(round), 'x-same': 'value' });
      assert.equal(head[':status'], 200);
      assert.equal(head['content-type'], 'text/plain');
      assert.equal(bytes, 5);
    }
  });

  it('gives the request as it stands', async () => {
    let seen: unknown;
    onRequest = (stream, head) => {
      seen = head;
      stream.sendHeaders([':status', '204'], true);
    };
    await call({ ':method': 'DELETE', ':path': '/a?b', ':authority': 'cart.shop', 'x-one': 'é', accept: '*/*' });
    assert.deepEqual(seen, {
      method: 'DELETE',
      scheme: 'http',
      authority: 'cart.shop',
      path: '/a?b',
      fields: ['x-one', 'é', 'accept', '*/*'],
      contentLength: -1,
    });
  });

  it('moves more than every window both ways, and trailers after it', async () => {
    const size = 9 * 1024 * 1024;
    const { bytes, trailers } = await call({ ':method': 'POST', ':path': '/' }, Buffer.alloc(size, 'x'));
    assert.equal(bytes, size);
    assert.equal(trailers[0]?.['x-bytes'], String(size));
  });

  it('takes head blocks that are longer than a frame', async () => {
    let length = 0;
    onRequest = (stream, { fields }) => {
      length = (fields[1] ?? '').length;
      stream.sendHeaders([':status', '200', 'x-back', fields[1] ?? ''], true);
    };
    const { head } = await call({ ':path': '/', 'x-long': 'v'.repeat(40_000) });
    assert.equal(length, 40_000);
    assert.equal(String(head['x-back']).length, 40_000);
  });

  it('says that a head is too large, and goes on', async () => {
    const overflows: boolean[] = [];
    onRequest = (stream, _head, _end, overflow) => {
      overflows.push(overflow);
      stream.sendHeaders([':status', overflow ? '431' : '200'], true);
    };
    const large = await call({ ':path': '/', 'x-long': 'v'.repeat(62_000) });
    const small = await call({ ':path': '/' });
    assert.deepEqual([large.head[':status'], small.head[':status']], [431, 200]);
  });

  it('ends when it is drained, after the streams that are open', async () => {
    let finish: (() => void) | undefined;
    onRequest = (stream) => {
      finish = () => stream.sendHeaders([':status', '200'], true);
    };
    const stream = session.request({ ':path': '/' });
    await until(() => finish !== undefined);
    const goaway = once(session, 'goaway');
    connections[0]?.drain();
    await goaway;
    const answer = once(stream, 'response');
    finish?.();
    const [head] = (await answer) as [IncomingHttpHeaders];
    assert.equal(head[':status'], 200);
    stream.resume();
    await once(session, 'close');
  });

  it('tells a reader that its client has reset the stream', async () => {
    const closed = new Promise<number>((resolve) => {
      onRequest = (stream) => {
        stream.reader = { headers: () => undefined, data: () => undefined, closed: resolve };
        stream.sendHeaders([':status', '200'], false);
      };
    });
    const stream = session.request({ ':path': '/' });
    stream.on('error', () => undefined);
    await once(stream, 'response');
    stream.close(8);
    assert.equal(await closed, 8);
  });

  describe('with a client that breaks the rules', () => {
    const encoder = (): HpackEncoder => new HpackEncoder();
    const get = [':method', 'GET', ':scheme', 'http', ':path', '/', ':authority', 'a'];

    /** Sends bytes after the preface; the connection's own words for what was wrong, and the frames that came back. */
    async function send(...frames: readonly Buffer[]): Promise<{ failure: string | undefined; frames: Frame[] }> {
      const index = connections.length + (session.connecting ? 1 : 0);
      const socket = connectSocket({ port: portOf(server), host: '127.0.0.1' });
      await once(socket, 'connect');
      await until(() => connections.length > 0);
      const bytes: Buffer[] = [];
      socket.on('data', (chunk: Buffer) => bytes.push(chunk));
      socket.on('error', () => undefined);
      socket.write(Buffer.concat([preface, toSettings([]), ...frames, toPing(Buffer.from('the end!'), false)]));
      await until(() => socket.closed || toFrames(bytes).some(({ type, flags }) => type === 6 && flags === 1));
      socket.destroy();
      const own = connections.find((connection, i) => i >= index - 1 && connection.failure !== undefined);
      return { failure: own?.failure, frames: toFrames(bytes) };
    }

    const reset = (frames: readonly Frame[]): number | undefined =>
      frames.find(({ type }) => type === 3)?.payload.readUInt32BE(0);
    const head = (fields: readonly string[], end = true): Buffer =>
      toHeaderFrames(1, Buffer.from(encoder().encode(fields)), end);

    const malformed: Record<string, readonly string[]> = {
      'an upper-case name': [...get, 'X-Upper', 'a'],
      'a line end in a value': [...get, 'x-a', 'b\r\nc: d'],
      'a NUL in a value': [...get, 'x-a', 'b\0'],
      'a space before a value': [...get, 'x-a', ' b'],
      'a connection field': [...get, 'connection', 'close'],
      'transfer-encoding': [...get, 'transfer-encoding', 'chunked'],
      'TE that is not trailers': [...get, 'te', 'gzip'],
      'a second Host, the same as it is': [...get, 'host', 'a.b', 'host', 'a.b'],
      'no path': [':method', 'GET', ':scheme', 'http', ':authority', 'a'],
      'an empty path': [':method', 'GET', ':scheme', 'http', ':path', '', ':authority', 'a'],
      'two paths': [...get, ':path', '/other'],
      'a pseudo field after others': [':method', 'GET', ':scheme', 'http', 'x-a', 'b', ':path', '/', ':authority', 'a'],
      'nobody whom it is for': get.slice(0, 6),
      'an unknown pseudo field': [...get, ':protocol', 'websocket'],
      'a method with a space': [':method', 'GET /x', ':scheme', 'http', ':path', '/'],
      'a length that does not come': [...get, 'content-length', '5'],
      'two lengths': [...get, 'content-length', '0', 'content-length', '1'],
      'CONNECT with a path': [':method', 'CONNECT', ':authority', 'a:1', ':scheme', 'http', ':path', '/'],
    };
    for (const [what, fields] of Object.entries(malformed)) {
      it(`resets a stream with ${what}`, async () => {
        onRequest = () => assert.fail('must not be asked');
        const { frames, failure } = await send(head(fields));
        assert.equal(reset(frames), errorCode.protocolError);
        assert.equal(failure, undefined);
      });
    }

    it('resets a stream whose body is longer than it said', async () => {
      const { frames } = await send(head([...get, 'content-length', '1'], false), toFrame(0, 1, 1, Buffer.from('ab')));
      assert.equal(reset(frames), errorCode.protocolError);
    });

    const fatal: Record<string, readonly [RegExp, readonly Buffer[]]> = {
      'a frame that is too long': [/too long/, [toFrame(0, 0, 1, Buffer.alloc(16_385))]],
      'DATA of stream 0': [/stream 0/, [toFrame(0, 0, 0, Buffer.alloc(1))]],
      'DATA of an idle stream': [/stream 7/, [toFrame(0, 0, 7, Buffer.alloc(1))]],
      'RST_STREAM of an idle stream': [/stream 7/, [toReset(7, 8)]],
      'HEADERS of an even stream': [/odd/, [toFrame(1, 5, 2, Buffer.from(encoder().encode(get)))]],
      'a header block that is interrupted': [
        /interrupted/,
        [toFrame(1, 1, 1, Buffer.from([0x82])), toPing(Buffer.alloc(8), false)],
      ],
      'CONTINUATION of nothing': [/CONTINUATION/, [toFrame(9, 4, 1, Buffer.alloc(0))]],
      PUSH_PROMISE: [/PUSH_PROMISE/, [toFrame(5, 4, 1, Buffer.alloc(8))]],
      'SETTINGS of a wrong length': [/SETTINGS/, [toFrame(4, 0, 0, Buffer.alloc(5))]],
      'a window of more than 31 bits': [/window/, [toSettings([[4, 0x8000_0000]])]],
      'a window that overflows': [/overflows/, [toWindowUpdate(0, 0x7fff_ffff)]],
      'a window update of nothing': [/update of 0/, [toWindowUpdate(0, 0)]],
      'a PING of a wrong length': [/PING/, [toFrame(6, 0, 0, Buffer.alloc(7))]],
      'an index that no table has': [/index/, [toFrame(1, 5, 1, Buffer.from([0xff, 0x20]))]],
      'a string that is cut off': [/cut off/, [toFrame(1, 5, 1, Buffer.from([0x00, 0x05, 0x61]))]],
      'an integer without an end': [
        /too long/,
        [toFrame(1, 5, 1, Buffer.from([0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0x0f]))],
      ],
      'a Huffman string that is padded wrongly': [
        /padded/,
        [toFrame(1, 5, 1, Buffer.from([0x00, 0x81, 0x00, 0x01, 0x61]))],
      ],
      'a header block without end': [
        /too long/,
        [toFrame(1, 1, 1, Buffer.alloc(0)), ...Array.from({ length: 40 }, () => toFrame(9, 0, 1, Buffer.alloc(0)))],
      ],
      'more padding than content': [/padding/, [toFrame(1, 0x0d, 1, Buffer.from([9, 0x82]))]],
      'streams that are opened to be reset': [
        /lead nowhere/,
        Array.from({ length: 1100 }, (_, i) =>
          Buffer.concat([
            toFrame(1, 4, 2 * i + 1, Buffer.from([0x82, 0x84, 0x86, 0x01, 0x01, 0x61])),
            toReset(2 * i + 1, 8),
          ]),
        ),
      ],
      'empty frames': [
        /lead nowhere/,
        [head(get, false), ...Array.from({ length: 1100 }, () => toFrame(0, 0, 1, Buffer.alloc(0)))],
      ],
    };
    for (const [what, [words, frames]] of Object.entries(fatal)) {
      it(`ends the connection for ${what}`, async () => {
        const { failure, frames: answered } = await send(...frames);
        assert.match(failure ?? '', words);
        assert.equal(
          answered.some(({ type, payload }) => type === 7 && payload.readUInt32BE(4) !== 0),
          true,
        );
      });
    }

    it('ends what does not begin as HTTP/2', async () => {
      const socket = connectSocket({ port: portOf(server), host: '127.0.0.1' });
      socket.on('error', () => undefined);
      socket.resume();
      socket.write('GET / HTTP/1.1\r\nHost: a\r\n\r\n');
      await once(socket, 'close');
      assert.match(connections.find(({ failure }) => failure)?.failure ?? '', /not HTTP\/2/);
    });

    it('refuses streams beyond the limit, and goes on with the others', async () => {
      onRequest = (stream) => {
        stream.reader = { headers: () => undefined, data: () => undefined, closed: () => undefined };
      };
      const opened = Array.from({ length: 101 }, (_, i) =>
        toFrame(1, 5, 2 * i + 1, Buffer.from([0x82, 0x84, 0x86, 0x01, 0x01, 0x61])),
      );
      const { frames, failure } = await send(...opened);
      assert.equal(reset(frames), errorCode.refusedStream);
      assert.equal(failure, undefined);
    });
  });
});

describe('an HTTP/2 client', () => {
  let open: (() => void)[];
  beforeEach(() => (open = []));
  afterEach(() => {
    for (const close of open) close();
  });

  async function connectTo(port: number): Promise<Http2Connection> {
    const socket: Socket = connectSocket({ port, host: '127.0.0.1' });
    await once(socket, 'connect');
    const connection = new Http2Connection(socket, 'client', { limits, now: () => 0 });
    open.push(() => connection.destroy());
    return connection;
  }

  function read(): {
    reader: StreamReader;
    done: Promise<{ blocks: string[][]; bytes: number; code: number }>;
    stream?: Http2Stream;
  } {
    const blocks: string[][] = [];
    let bytes = 0;
    let stream: Http2Stream | undefined;
    let finish: (value: { blocks: string[][]; bytes: number; code: number }) => void;
    const done = new Promise<{ blocks: string[][]; bytes: number; code: number }>((resolve) => (finish = resolve));
    const reader: StreamReader = {
      headers: (block) => void blocks.push([...block]),
      data(chunk) {
        bytes += chunk.length;
        stream?.consumed(chunk.length);
      },
      closed: (code) => finish({ blocks, bytes, code }),
    };
    return {
      reader,
      done,
      set stream(value: Http2Stream) {
        stream = value;
      },
    };
  }

  it('asks a server of node, with bodies over all windows and trailers', async () => {
    const server = createHttp2Server().listen(0, '127.0.0.1');
    open.push(() => server.close());
    server.on('stream', (stream) => {
      stream.respond({ ':status': 200, 'x-a': 'b' }, { waitForTrailers: true });
      stream.on('wantTrailers', () => stream.sendTrailers({ 'x-end': '1' }));
      stream.pipe(stream);
    });
    await once(server, 'listening');
    const connection = await connectTo(portOf(server));
    const size = 5 * 1024 * 1024;
    for (let round = 0; round < 3; round++) {
      const result = read();
      const stream = connection.request(
        [':method', 'POST', ':scheme', 'http', ':path', '/', ':authority', 'a'],
        false,
        result.reader,
      );
      result.stream = stream;
      stream.sendData(Buffer.alloc(size, 'y'), true);
      const { blocks, bytes, code } = await result.done;
      assert.equal(code, 0);
      assert.equal(bytes, size);
      assert.equal(blocks[0]?.[1], '200');
      assert.deepEqual(blocks[1], ['x-end', '1']);
    }
  });

  it('calls streams that the server has not looked at refused', async () => {
    const server = createServer((socket) => {
      socket.on('error', () => undefined);
      socket.once('data', () => {
        const goaway = Buffer.alloc(8);
        socket.write(Buffer.concat([toSettings([]), toFrame(7, 0, 0, goaway)]));
      });
    }).listen(0, '127.0.0.1');
    open.push(() => server.close());
    await once(server, 'listening');
    const connection = await connectTo(portOf(server));
    const result = read();
    result.stream = connection.request([':method', 'GET', ':scheme', 'http', ':path', '/'], true, result.reader);
    assert.equal((await result.done).code, errorCode.refusedStream);
    assert.equal(connection.retired, true);
  });
});

interface Frame {
  readonly type: number;
  readonly flags: number;
  readonly payload: Buffer;
}

function toFrames(chunks: readonly Buffer[]): Frame[] {
  const bytes = Buffer.concat(chunks);
  const frames: Frame[] = [];
  for (let at = 0; at + 9 <= bytes.length;) {
    const length = bytes.readUIntBE(at, 3);
    frames.push({
      type: bytes[at + 3] as number,
      flags: bytes[at + 4] as number,
      payload: bytes.subarray(at + 9, at + 9 + length),
    });
    at += 9 + length;
  }
  return frames;
}

function portOf(server: { address(): string | AddressInfo | null }): number {
  return (server.address() as AddressInfo).port;
}

async function until(condition: () => boolean): Promise<void> {
  while (!condition()) await new Promise((resolve) => setImmediate(resolve));
}
