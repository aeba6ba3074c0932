import { once } from 'node:events';
import { createServer, type Http2Server, type ServerHttp2Stream } from 'node:http2';
import { type AddressInfo, connect } from 'node:net';
import { type Http2Reading, outcomeOf, type Request, toText } from './http2-reading.ts';

// A process of its own: hostile bytes damage the heap of node's server (seen in 20.20), and it dies of it.

/** A reading as it crosses to the other process. */
export interface OracleAnswer {
  readonly complete: readonly (readonly [number, string])[];
  readonly begun: readonly number[];
  readonly failed: boolean;
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
  let requests = new Map<number, Request>();
  let complete = new Map<number, string>();
  server.on('stream', (stream: ServerHttp2Stream, _headers, flags: number, raw?: string[]) => {
    const id = stream.id ?? 0;
    const own = complete;
    const request: Request = { head: raw ?? [], body: [], trailers: [] };
    requests.set(id, request);
    stream.on('error', () => undefined);
    stream.on('data', (chunk: Buffer) => request.body.push(chunk));
    stream.on('trailers', (_fields: unknown, _flags: number, lines?: string[]) => {
      request.trailers = lines ?? [];
    });
    stream.on('end', () => {
      if (!stream.aborted && stream.rstCode === 0) own.set(id, toText(request));
    });
    if ((flags & 1) !== 0) own.set(id, toText(request));
  });
  server.on('session', (session) => session.on('error', () => undefined));
  server.on('sessionError', () => undefined);
  server.listen(0, '127.0.0.1');
  await once(server, 'listening');
  const { port } = server.address() as AddressInfo;
  return async (bytes) => {
    requests = new Map();
    complete = new Map();
    const [ownRequests, ownComplete] = [requests, complete];
    const socket = connect({ port, host: '127.0.0.1', noDelay: true });
    const received: Buffer[] = [];
    let ended = false;
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
    socket.write(bytes, () => setImmediate(() => setImmediate(() => socket.end())));
    const answered = await settled;
    socket.destroy();
    return { complete: ownComplete, begun: new Set(ownRequests.keys()), failed: !answered };
  };
}

const read = await createOracle();
process.on('message', (hex: string) => {
  void read(Buffer.from(hex, 'hex')).then(({ complete, begun, failed }) => {
    const answer: OracleAnswer = { complete: [...complete], begun: [...begun], failed };
    process.send?.(answer);
  });
});
process.on('disconnect', () => process.exit(0));
process.send?.('ready');
