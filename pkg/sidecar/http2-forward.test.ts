import assert from 'node:assert/strict';
import { once } from 'node:events';
import { connect, createServer } from 'node:http2';
import type {
  ClientHttp2Session,
  Http2Server,
  IncomingHttpHeaders,
  OutgoingHttpHeaders,
  ServerHttp2Stream,
} from 'node:http2';
import { createServer as createNetServer } from 'node:net';
import type { AddressInfo, Server as NetServer, Socket } from 'node:net';
import { Client, Server, ServerCredentials, credentials, status as grpcStatus } from '@grpc/grpc-js';
import type { ServiceError } from '@grpc/grpc-js';
import { errorCode } from '../http2/error-codes.ts';
import { toGoaway, toReset, toSettings } from '../http2/frames.ts';
import { allow, createTestMesh, readAll } from '../../test/support/sidecar-mesh.ts';
import type { TestMesh, TestSidecar } from '../../test/support/sidecar-mesh.ts';

type Handler = (stream: ServerHttp2Stream, headers: IncomingHttpHeaders) => void;

describe('HTTP/2 through two sidecars', () => {
  let mesh: TestMesh;
  let client: TestSidecar;
  let server: TestSidecar;
  let app: Http2Server;
  let handler: Handler;
  let session: ClientHttp2Session;

  before(async () => {
    mesh = await createTestMesh();
    app = createServer().listen(0, '127.0.0.1');
    app.on('stream', (stream, headers) => {
      stream.on('error', () => undefined);
      handler(stream, headers);
    });
    await once(app, 'listening');
    client = await mesh.start({ namespace: 'shop', account: 'web' });
    const ports = [{ port: 8080, protocol: 'http' as const, services: ['shop/cart'] }];
    const appPorts = { 8080: (app.address() as AddressInfo).port };
    server = await mesh.start({
      namespace: 'shop',
      account: 'cart',
      inbound: { ports },
      appPorts,
    });
    mesh.expose({ namespace: 'shop', name: 'cart', port: 80, targetPort: 8080 }, [server], [client]);
    await Promise.all([client.ready(), server.ready()]);
    session = connect(`http://127.0.0.1:${client.portOf('shop/cart:80')}`);
  });

  after(async () => {
    session.destroy();
    app.close();
    await mesh.stop();
  });

  beforeEach(() => server.setRules([allow([client.identity])]));

  async function call(headers: OutgoingHttpHeaders, body?: string) {
    const stream = session.request({ ':authority': 'cart.shop', ...headers }, { endStream: body === undefined });
    const trailers: IncomingHttpHeaders[] = [];
    stream.on('trailers', (fields: IncomingHttpHeaders) => trailers.push(fields));
    if (body !== undefined) stream.end(body);
    const [answer] = (await once(stream, 'response')) as [IncomingHttpHeaders];
    return {
      answer,
      body: await readAll(stream),
      trailers: { ...trailers[0] },
    };
  }

  it('passes request, answer and trailers, the version kept', async () => {
    handler = (stream, headers) => {
      void readAll(stream).then((body) => {
        stream.respond(
          {
            ':status': 200,
            'x-seen': `${headers[':method']} ${headers[':path']} ${headers[':authority']}`,
          },
          { waitForTrailers: true },
        );
        stream.on('wantTrailers', () => stream.sendTrailers({ 'x-sum': '1' }));
        stream.end(body);
      });
    };
    const { answer, body, trailers } = await call({ ':method': 'POST', ':path': '/a/../b?x' }, 'hello');
    assert.equal(answer['x-seen'], 'POST /b?x cart.shop');
    assert.equal(body, 'hello');
    assert.equal(trailers['x-sum'], '1');
  });

  it('passes an answer without a body', async () => {
    handler = (stream) => stream.respond({ ':status': 204 }, { endStream: true });
    const { answer, body } = await call({ ':path': '/' });
    assert.equal(answer[':status'], 204);
    assert.equal(body, '');
  });

  it('answers 503 when the app resets a stream before its answer', async () => {
    handler = (stream) => stream.close(11);
    const stream = session.request({ ':path': '/' });
    const errors: unknown[] = [];
    stream.on('error', (error) => errors.push(error));
    const [answer] = (await once(stream, 'response')) as [IncomingHttpHeaders];
    assert.equal(answer[':status'], 503);
    stream.resume();
    await once(stream, 'close');
  });

  it('resets the client when the app dies in the middle of a body', async () => {
    handler = (stream) => {
      // Without trailers to wait for, node ends a stream properly before it resets it.
      stream.respond({ ':status': 200 }, { waitForTrailers: true });
      stream.write('part', () => stream.close(2));
    };
    const stream = session.request({ ':path': '/' });
    stream.resume();
    const [error] = (await once(stream, 'error')) as [Error];
    assert.match(error.message, /INTERNAL_ERROR/);
  });

  it('tells the app when the client goes away', async () => {
    const gone = new Promise<number>((resolve) => {
      handler = (stream) => {
        stream.respond({ ':status': 200 });
        stream.write('part');
        stream.once('close', () => resolve(stream.rstCode ?? -1));
      };
    });
    const stream = session.request({ ':path': '/' });
    stream.once('data', () => stream.close(8));
    assert.equal(await gone, 8);
  });

  it('denies on a session that was allowed before: 403, and grpc-status 7 for gRPC', async () => {
    handler = (stream) => stream.respond({ ':status': 200 }, { endStream: true });
    assert.equal((await call({ ':path': '/' })).answer[':status'], 200);
    server.setRules([allow([], { sources: [server.identity] })]);
    const http = await call({ ':path': '/x' });
    assert.equal(http.answer[':status'], 403);
    assert.equal(http.answer['x-tulle-reason'], 'SourceNotAllowed');
    assert.match(http.body, /^RBAC: access denied\ntulle: SourceNotAllowed: shop\/web -> shop\/cart:8080 GET \/x;/);
    const grpc = await call(
      {
        ':method': 'POST',
        ':path': '/a.B/C',
        'content-type': 'application/grpc',
      },
      'x',
    );
    assert.equal(grpc.answer[':status'], 200);
    assert.equal(grpc.answer['grpc-status'], '7');
    assert.match(String(grpc.answer['grpc-message']), /RBAC: access denied%0Atulle: SourceNotAllowed/);
  });

  it('refuses a Host that differs from :authority', async () => {
    const { answer } = await call({ ':path': '/', host: 'other' });
    assert.equal(answer[':status'], 400);
  });

  it('moves large bodies both ways at once', async () => {
    handler = (stream) => {
      stream.respond({ ':status': 200 });
      stream.pipe(stream);
    };
    const size = 8 * 1024 * 1024;
    const stream = session.request({ ':method': 'POST', ':path': '/' });
    let received = 0;
    stream.on('data', (chunk: Buffer) => {
      received += chunk.length;
    });
    stream.end(Buffer.alloc(size, 'x'));
    await once(stream, 'end');
    assert.equal(received, size);
  });
  it('passes the length of a body, and cookies as one field', async () => {
    handler = (stream, headers) => {
      stream.respond(
        { ':status': 200, 'x-seen': `${headers['content-length']} ${headers['cookie']}` },
        { endStream: true },
      );
      stream.resume();
    };
    const cookies = ['a=1', 'b=2'] as unknown as string;
    const { answer } = await call({ ':method': 'POST', ':path': '/', 'content-length': '5', cookie: cookies }, 'hello');
    assert.equal(answer['x-seen'], '5 a=1; b=2');
  });

  it('decides by all pieces of a cookie together', async () => {
    const cookie = { name: 'cookie', value: 'a=1; b=2' };
    const origin = { kind: 'HTTPRouteGroup', namespace: 'shop', name: 'g' } as const;
    server.setRules([allow([client.identity], { http: [{ name: 'm', origin, headers: [cookie] }] })]);
    handler = (stream) => stream.respond({ ':status': 204 }, { endStream: true });
    const pieces = ['a=1', 'b=2'] as unknown as string;
    assert.equal((await call({ ':path': '/', cookie: pieces })).answer[':status'], 204);
    assert.equal((await call({ ':path': '/', cookie: 'a=1' })).answer[':status'], 403);
  });

  it('ends streams of an app without a reset where both sides have ended', async () => {
    const closed: unknown[] = [];
    handler = (stream) => {
      stream.respond({ ':status': 200 });
      stream.end('x');
      stream.once('aborted', () => closed.push('aborted'));
      stream.once('close', () => closed.push(stream.rstCode));
    };
    for (let i = 0; i < 5; i++) await call({ ':path': '/' });
    await until(() => closed.length >= 5);
    assert.deepEqual(closed, [0, 0, 0, 0, 0]);
  });

  it('answers others while clients do not take their answers', async () => {
    const greedy = connect(`http://127.0.0.1:${client.portOf('shop/cart:80')}`, { settings: { initialWindowSize: 1 } });
    try {
      handler = (stream, headers) => {
        stream.respond({ ':status': 200 });
        stream.end(headers[':path'] === '/large' ? Buffer.alloc(1024 * 1024) : 'small');
      };
      const stuck = Array.from({ length: 20 }, () => greedy.request({ ':path': '/large', ':authority': 'cart.shop' }));
      for (const stream of stuck) stream.on('error', () => undefined);
      await Promise.all(stuck.map((stream) => once(stream, 'response')));
      assert.equal((await call({ ':path': '/small' })).body, 'small');
    } finally {
      greedy.destroy();
    }
  });

  it('tells the client to stop when the app has answered before the end of the body', async () => {
    handler = (stream) => {
      stream.respond({ ':status': 413 }, { endStream: true });
      stream.close(0);
    };
    const stream = session.request({ ':method': 'POST', ':path': '/', ':authority': 'cart.shop' });
    stream.on('error', () => undefined);
    stream.write(Buffer.alloc(1000));
    const [answer] = (await once(stream, 'response')) as [IncomingHttpHeaders];
    assert.equal(answer[':status'], 413);
    stream.resume();
    await once(stream, 'close');
    assert.equal(stream.rstCode, 0);
  });

  it('answers HEAD with the length and without a body', async () => {
    handler = (stream) => stream.respond({ ':status': 200, 'content-length': '9' }, { endStream: true });
    const { answer, body } = await call({ ':method': 'HEAD', ':path': '/' });
    assert.equal(answer['content-length'], '9');
    assert.equal(body, '');
  });
});

describe('HTTP/2 to an app that is slow to take a request', () => {
  let mesh: TestMesh;
  let client: TestSidecar;
  let session: ClientHttp2Session;
  let app: NetServer;
  let http2: Http2Server;
  /** What becomes of the connections of the app, each in its turn; the others are served. */
  let fates: ((socket: Socket) => void)[];
  let bodies: string[];

  beforeEach(async () => {
    fates = [];
    bodies = [];
    http2 = createServer({ settings: { maxConcurrentStreams: 1 } });
    http2.on('stream', (stream: ServerHttp2Stream, headers) => {
      stream.on('error', () => undefined);
      if (headers[':path'] === '/never') return;
      void readAll(stream).then((body) => {
        bodies.push(body);
        stream.respond({ ':status': 200 });
        stream.end('answered');
      });
    });
    app = createNetServer((socket) => {
      socket.on('error', () => undefined);
      const fate = fates.shift();
      if (fate) fate(socket);
      else http2.emit('connection', socket);
    }).listen(0, '127.0.0.1');
    await once(app, 'listening');
    mesh = await createTestMesh();
    client = await mesh.start({ namespace: 'shop', account: 'web', limits: { streamIdle: 2_000 } });
    const server = await mesh.start({
      namespace: 'shop',
      account: 'cart',
      inbound: { ports: [{ port: 8080, protocol: 'http', services: ['shop/cart'] }] },
      appPorts: { 8080: (app.address() as AddressInfo).port },
      limits: { streamIdle: 1_000 },
    });
    mesh.expose({ namespace: 'shop', name: 'cart', port: 80, targetPort: 8080 }, [server], [client]);
    await Promise.all([client.ready(), server.ready()]);
    server.setRules([allow([client.identity])]);
    session = connect(`http://127.0.0.1:${client.portOf('shop/cart:80')}`);
  });

  afterEach(async () => {
    session.destroy();
    app.close();
    await mesh.stop();
  });

  /** Reads a request and its body, and then goes: nothing of it was looked at. */
  function refuse(socket: Socket, code: 'GOAWAY' | 'REFUSED_STREAM'): void {
    socket.write(toSettings([]));
    socket.on('data', (chunk: Buffer) => {
      if (!chunk.includes('the body')) return;
      if (code === 'GOAWAY') socket.end(toGoaway(0, errorCode.noError));
      else socket.write(Buffer.concat([toGoaway(1, errorCode.noError), toReset(1, errorCode.refusedStream)]));
    });
  }

  async function post(body: Buffer | string): Promise<[status: unknown, body: string]> {
    const stream = session.request({ ':method': 'POST', ':path': '/', ':authority': 'cart.shop' });
    stream.end(body);
    const [answer] = (await once(stream, 'response')) as [IncomingHttpHeaders];
    return [answer[':status'], await readAll(stream)];
  }

  for (const code of ['GOAWAY', 'REFUSED_STREAM'] as const) {
    it(`asks again, with its body, what the app has not looked at: ${code}`, async () => {
      fates = [(socket) => refuse(socket, code)];
      const [status, body] = await post('the body');
      assert.deepEqual([status, body], [200, 'answered']);
      assert.deepEqual(bodies, ['the body']);
    });
  }

  it('does not ask again with a body that was too long to be kept', async () => {
    fates = [(socket) => refuse(socket, 'GOAWAY')];
    const [status] = await post(`${'x'.repeat(5000)}the body`);
    assert.equal(status, 503);
    assert.deepEqual(bodies, []);
  });

  it('ends what waits for a free stream, though its body goes on', async () => {
    const stuck = Array.from({ length: 16 }, () => session.request({ ':path': '/never', ':authority': 'cart.shop' }));
    for (const stream of stuck) stream.on('error', () => undefined);
    const stream = session.request({ ':method': 'POST', ':path': '/', ':authority': 'cart.shop' });
    const talk = setInterval(() => stream.write('more'), 50);
    try {
      const [answer] = (await once(stream, 'response')) as [IncomingHttpHeaders];
      assert.equal(answer[':status'], 503);
      assert.match(await readAll(stream), /no stream to the upstream became free/);
    } finally {
      clearInterval(talk);
    }
  });
});

describe('gRPC through two sidecars', () => {
  let mesh: TestMesh;
  let client: TestSidecar;
  let server: TestSidecar;
  let app: Server;
  let stub: Client;
  const raw = (bytes: Buffer): Buffer => bytes;

  before(async () => {
    mesh = await createTestMesh();
    app = new Server();
    const method = {
      requestSerialize: raw,
      requestDeserialize: raw,
      responseSerialize: raw,
      responseDeserialize: raw,
    };
    app.addService(
      {
        Chat: {
          path: '/t.Echo/Chat',
          requestStream: true,
          responseStream: true,
          ...method,
        },
        Say: {
          path: '/t.Echo/Say',
          requestStream: false,
          responseStream: false,
          ...method,
        },
      },
      {
        Chat: (stream: NodeJS.ReadWriteStream) => {
          stream.on('data', (bytes: Buffer) => stream.write(Buffer.from(`echo ${bytes.toString()}`)));
          stream.on('end', () => stream.end());
        },
        Say: (call: { request: Buffer }, callback: (error: Partial<ServiceError> | null, answer?: Buffer) => void) => {
          if (call.request.toString() === 'fail') callback({ code: grpcStatus.NOT_FOUND, details: 'nothing' });
          else callback(null, call.request);
        },
      },
    );
    const port = await new Promise<number>((resolve, reject) => {
      app.bindAsync('127.0.0.1:0', ServerCredentials.createInsecure(), (error, bound) =>
        error ? reject(error) : resolve(bound),
      );
    });
    client = await mesh.start({ namespace: 'shop', account: 'web' });
    const ports = [{ port: 9090, protocol: 'grpc' as const, services: ['shop/echo'] }];
    server = await mesh.start({
      namespace: 'shop',
      account: 'echo',
      inbound: { ports },
      appPorts: { 9090: port },
    });
    server.setRules([
      allow([client.identity], {
        http: [
          {
            name: 'm',
            origin: { kind: 'HTTPRouteGroup', namespace: 'shop', name: 'g' },
            path: '/t.Echo/.*',
          },
        ],
      }),
    ]);
    mesh.expose(
      {
        namespace: 'shop',
        name: 'echo',
        port: 90,
        targetPort: 9090,
        protocol: 'grpc',
      },
      [server],
      [client],
    );
    await Promise.all([client.ready(), server.ready()]);
    stub = new Client(`127.0.0.1:${client.portOf('shop/echo:90')}`, credentials.createInsecure());
  });

  after(async () => {
    stub.close();
    app.forceShutdown();
    await mesh.stop();
  });

  function say(path: string, text: string): Promise<string> {
    return new Promise((resolve, reject) => {
      stub.makeUnaryRequest(path, raw, raw, Buffer.from(text), (error, answer) =>
        error ? reject(error) : resolve(String(answer)),
      );
    });
  }

  it('calls, and passes errors of the app', async () => {
    assert.equal(await say('/t.Echo/Say', 'hello'), 'hello');
    await assert.rejects(say('/t.Echo/Say', 'fail'), {
      code: grpcStatus.NOT_FOUND,
      details: 'nothing',
    });
  });

  it('streams both ways', async () => {
    const chat = stub.makeBidiStreamRequest('/t.Echo/Chat', raw, raw);
    for (const text of ['a', 'b', 'c']) {
      chat.write(Buffer.from(text));
      const [answer] = (await once(chat, 'data')) as [Buffer];
      assert.equal(answer.toString(), `echo ${text}`);
    }
    chat.end();
    const [status] = (await once(chat, 'status')) as [{ code: number }];
    assert.equal(status.code, grpcStatus.OK);
  });

  it('denies a method that no rule names with PERMISSION_DENIED', async () => {
    await assert.rejects(say('/other.Service/Do', 'x'), (error: ServiceError) => {
      assert.equal(error.code, grpcStatus.PERMISSION_DENIED);
      assert.match(error.details, /RBAC: access denied\ntulle: RequestNotAllowed/);
      return true;
    });
  });

  it('answers UNAVAILABLE where no endpoint is ready', async () => {
    const key = 'shop/echo:90';
    client.push('endpoints', { [key]: { key, endpoints: [] } });
    await assert.rejects(say('/t.Echo/Say', 'x'), {
      code: grpcStatus.UNAVAILABLE,
    });
    client.push('endpoints', {
      [key]: { key, endpoints: [mesh.endpointOf(server, 9090)] },
    });
    assert.equal(await say('/t.Echo/Say', 'x'), 'x');
  });
});

async function until(condition: () => boolean): Promise<void> {
  while (!condition()) await new Promise((resolve) => setTimeout(resolve, 2));
}
