import { connect as connectHttp2, constants, type IncomingHttpHeaders } from 'node:http2';
import { connect } from 'node:net';
import { bodySize, type BenchProtocol } from './setup.ts';

/** One connection of a client. What it asks for is read to its end and verified: status, size, the status of gRPC. */
export interface Link {
  /** HTTP/1.1 and TCP: one at a time. */
  request(done: (good: boolean) => void): void;
  close(): void;
}

export const path = '/books/1?a=b';
const host = '127.0.0.1';

export function openLink(protocol: BenchProtocol, port: number): Promise<Link> {
  return protocol === 'http2' || protocol === 'grpc' ? openHttp2(protocol, port) : openHttp1(port);
}

function openHttp1(port: number): Promise<Link> {
  const question = Buffer.from(`GET ${path} HTTP/1.1\r\nHost: ${host}:${port}\r\n\r\n`);
  return new Promise((resolve, reject) => {
    const socket = connect({ port, host, noDelay: true });
    let waiting: ((good: boolean) => void) | undefined;
    let received: Buffer = Buffer.alloc(0);
    let isOver = false;
    const finish = (good: boolean): void => {
      const done = waiting;
      waiting = undefined;
      received = Buffer.alloc(0);
      done?.(good);
    };
    socket.once('connect', () =>
      resolve({
        request(done) {
          if (isOver) {
            setImmediate(done, false);
            return;
          }
          waiting = done;
          socket.write(question);
        },
        close: () => socket.destroy(),
      }),
    );
    socket.on('error', reject);
    socket.on('close', () => {
      isOver = true;
      finish(false);
    });
    socket.on('data', (chunk: Buffer) => {
      received = received.length === 0 ? chunk : Buffer.concat([received, chunk]);
      const end = received.indexOf('\r\n\r\n');
      if (end < 0) return;
      const head = received.subarray(0, end).toString('latin1');
      const [, length = '0'] = /\r\ncontent-length: (\d+)/i.exec(head) ?? [];
      if (received.length < end + 4 + Number(length)) return;
      finish(/^HTTP\/1\.1 2\d\d /.test(head) && Number(length) === bodySize);
    });
  });
}

function openHttp2(protocol: 'http2' | 'grpc', port: number): Promise<Link> {
  const isGrpc = protocol === 'grpc';
  const message = Buffer.from([0, 0, 0, 0, 0]);
  const headers = isGrpc
    ? { ':path': path, ':method': 'POST', 'content-type': 'application/grpc', te: 'trailers' }
    : { ':path': path };
  const expected = isGrpc ? bodySize + message.length : bodySize;
  return new Promise((resolve, reject) => {
    const session = connectHttp2(`http://${host}:${port}`, {
      createConnection: () => connect({ port, host, noDelay: true }),
    });
    session.once('connect', () =>
      resolve({
        request(done) {
          if (session.closed || session.destroyed) {
            setImmediate(done, false);
            return;
          }
          const stream = session.request(headers, { endStream: !isGrpc });
          let [status, size] = [0, 0];
          let grpcStatus = isGrpc ? '' : '0';
          stream.on('response', (fields) => {
            status = Number(fields[':status']);
            if (isGrpc) grpcStatus = String(fields['grpc-status'] ?? '');
          });
          stream.on('trailers', (fields: IncomingHttpHeaders) => {
            if (isGrpc) grpcStatus = String(fields['grpc-status'] ?? '');
          });
          stream.on('data', (chunk: Buffer) => {
            size += chunk.length;
          });
          stream.on('error', () => undefined);
          stream.on('close', () => {
            const isWhole = stream.rstCode === constants.NGHTTP2_NO_ERROR && size === expected;
            done(isWhole && status >= 200 && status < 300 && grpcStatus === '0');
          });
          if (isGrpc) stream.end(message);
        },
        close: () => session.destroy(),
      }),
    );
    session.on('error', reject);
  });
}
