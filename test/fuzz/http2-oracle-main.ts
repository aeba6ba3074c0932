import { once } from 'node:events';
import { createServer, type Http2Server, type ServerHttp2Session, type ServerHttp2Stream } from 'node:http2';
import { type AddressInfo, connect } from 'node:net';
import { type Http2Reading, outcomeOf, type Request, toText } from './http2-reading.ts';

// A process of its own: hostile bytes damage the heap of node's server (seen in 20.20), and it dies of it.

/** A reading as it crosses to the other process. */
export interface OracleAnswer {
  readonly complete: readonly (readonly [number, string])[];
  readonly begun: readonly number[];
  readonly failed: boolean;
}

/** What the server made of one connection. */
interface Seen {
  readonly requests: Map<number, Request>;
  readonly complete: Map<number, string>;
}

/** Node's own server, on nghttp2, over real connections. */
async function createOracle(): Promise<(bytes: Buffer) => Promise<Http2Reading>> {
  const server: Http2Server = createServer({
    settings: {
      enablePush: false,
      initialWindowSize: 256 * 1024,
      maxConcurrentStreams: 1000,
      maxHeaderListSize: 60 * 1024,
    },
    maxHeaderListPairs: 104,
  });
  const bySession = new WeakMap<ServerHttp2Session, Seen>();
  /** By the port of the client: several connections are read at once. */
  const byPort = new Map<number, Seen>();
  server.on('session', (session) => {
    session.on('error', () => undefined);
    const seen: Seen = { requests: new Map(), complete: new Map() };
    bySession.set(session, seen);
    byPort.set(session.socket.remotePort ?? 0, seen);
  });
  server.on('stream', (stream: ServerHttp2Stream, _headers, flags: number, raw?: string[]) => {
    const id = stream.id ?? 0;
    const seen = stream.session && bySession.get(stream.session as ServerHttp2Session);
    const request: Request = { head: raw ?? [], body: [], trailers: [] };
    seen?.requests.set(id, request);
    stream.on('error', () => undefined);
    stream.on('data', (chunk: Buffer) => request.body.push(chunk));
    stream.on('trailers', (_fields: unknown, _flags: number, lines?: string[]) => {
      request.trailers = lines ?? [];
    });
    stream.on('end', () => {
      if (!stream.aborted && stream.rstCode === 0) seen?.complete.set(id, toText(request));
    });
    if ((flags & 1) !== 0) seen?.complete.set(id, toText(request));
  });
  server.on('sessionError', () => undefined);
  server.listen({ port: 0, host: '127.0.0.1', backlog: 511 });
  await once(server, 'listening');
  const { port } = server.address() as AddressInfo;
  return async (bytes) => {
    const socket = connect({ port, host: '127.0.0.1', noDelay: true });
    const received: Buffer[] = [];
    let ended = false;
    let own = 0;
    socket.on('connect', () => (own = socket.localPort ?? 0));
    const settled = new Promise<boolean>((resolve) => {
      const look = (): void => {
        const outcome = outcomeOf(received, ended);
        if (outcome !== undefined) resolve(outcome === 'answered');
      };
      socket.on('data', (chunk: Buffer) => {
        received.push(chunk);
        look();
      });
      socket.on('error', () => undefined);
      socket.on('close', () => {
        ended = true;
        look();
      });
    });
    // What waits for more bytes would wait for ever: then the end of the connection is the answer.
    socket.write(bytes, () => void turns(4).then(() => socket.end()));
    const answered = await settled;
    socket.destroy();
    const seen = byPort.get(own);
    byPort.delete(own);
    return { complete: seen?.complete ?? new Map(), begun: new Set(seen?.requests.keys()), failed: !answered };
  };
}

/** So many turns of the event loop. */
async function turns(count: number): Promise<void> {
  for (let i = 0; i < count; i++) await new Promise((resolve) => setImmediate(resolve));
}

const read = await createOracle();
process.on('message', (inputs: readonly string[]) => {
  void Promise.all(inputs.map((hex) => read(Buffer.from(hex, 'hex')))).then((readings) => {
    const answers = readings.map(({ complete, begun, failed }): OracleAnswer => ({
      complete: [...complete],
      begun: [...begun],
      failed,
    }));
    process.send?.(answers);
  });
});
process.on('disconnect', () => process.exit(0));
process.send?.('ready');
