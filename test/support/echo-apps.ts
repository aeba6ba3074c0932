import { once } from 'node:events';
import { createServer as createHttp1 } from 'node:http';
import { createServer as createHttp2 } from 'node:http2';
import { createServer } from 'node:net';
import type { AddressInfo, Server, Socket } from 'node:net';
import type { AppProtocol } from '../../pkg/policy/inbound.ts';
import { isHttp2Preface, peek, tellsHttpVersion } from '../../pkg/sidecar/first-bytes.ts';

/** Apps that answer whatever they are asked: HTTP in the version that it comes in, and lower-case bytes. */
export interface EchoApps {
  /** Port on 127.0.0.1 of the app for a protocol. */
  portOf(protocol: AppProtocol): number;
  stop(): void;
}

/** What the TCP apps say; the second says it before it is asked. */
const tcpEcho = 'echo:';
export const tcpBanner = '220 banner';

export async function startEchoApps(): Promise<EchoApps> {
  const http1 = createHttp1((req, res) => {
    req.resume();
    res.setHeader('x-path', req.url ?? '').end('served');
  });
  http1.on('upgrade', (_req, socket: Socket, head: Buffer) => {
    socket.on('error', () => undefined);
    socket.write('HTTP/1.1 101 Switching Protocols\r\nconnection: upgrade\r\nupgrade: websocket\r\n\r\n');
    socket.write(head);
    socket.pipe(socket);
  });
  const http2 = createHttp2();
  http2.on('stream', (stream, headers) => {
    stream.on('error', () => undefined);
    stream.resume();
    const grpc = String(headers['content-type']).startsWith('application/grpc');
    if (grpc)
      stream.respond({ ':status': 200, 'content-type': 'application/grpc', 'grpc-status': '0' }, { endStream: true });
    else {
      stream.respond({ ':status': 200 });
      stream.end('served');
    }
  });
  const sockets = new Set<Socket>();
  const start = async (accept: (socket: Socket) => void): Promise<Server> => {
    const server = createServer((socket) => {
      sockets.add(socket);
      socket.once('close', () => sockets.delete(socket));
      socket.on('error', () => undefined);
      accept(socket);
    }).listen(0, '127.0.0.1');
    await once(server, 'listening');
    return server;
  };
  const isHttp = (bytes: Buffer): boolean => /^[A-Z]/.test(bytes.toString('latin1', 0, 1));
  const any = await start((socket) => {
    peek(
      socket,
      10_000,
      (bytes) => !isHttp(bytes) || tellsHttpVersion(bytes),
      (bytes) => {
        if (!bytes) socket.destroy();
        else if (isHttp(bytes)) (isHttp2Preface(bytes) ? http2 : http1).emit('connection', socket);
        else socket.on('data', (data: Buffer) => socket.end(`${tcpEcho}${data.toString()}`)).resume();
      },
    );
  });
  const first = await start((socket) => socket.end(tcpBanner));

  return {
    portOf: (protocol) => ((protocol === 'tcp-server-first' ? first : any).address() as AddressInfo).port,
    stop() {
      for (const server of [any, first]) server.close();
      for (const socket of sockets) socket.destroy();
    },
  };
}
