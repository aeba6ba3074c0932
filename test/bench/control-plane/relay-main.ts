import { connect, createServer } from 'node:net';
import type { AddressInfo, Socket } from 'node:net';
import { answer } from '../answer.ts';

/** Stands before proxies that read slowly, or stop: what the server sends stays in its connection, whose window closes. */
export interface RelayTarget {
  readonly port: number;
  /** Bytes per second that are read behind the handshake; 0: none. */
  readonly rate: number;
}

/** Enough for the handshakes of TLS and HTTP/2. */
const free = 16 * 1024;
let target: RelayTarget = { port: 0, rate: 0 };
const sockets = new Set<Socket>();

const server = createServer({ noDelay: true }, (proxy) => {
  const { port, rate } = target;
  const upstream = connect({ port, host: '127.0.0.1', noDelay: true });
  let read = 0;
  let timer: NodeJS.Timeout | undefined;
  for (const [socket, other] of [
    [proxy, upstream],
    [upstream, proxy],
  ] as const) {
    sockets.add(socket);
    socket.on('error', () => undefined);
    socket.on('close', () => {
      clearTimeout(timer);
      sockets.delete(socket);
      other.destroy();
    });
  }
  proxy.pipe(upstream);
  upstream.on('data', (chunk: Buffer) => {
    proxy.write(chunk);
    read += chunk.length;
    if (read < free) return;
    upstream.pause();
    if (rate > 0) timer = setTimeout(() => upstream.resume(), (chunk.length / rate) * 1000);
  });
});
await new Promise<void>((resolve) => server.listen(0, '127.0.0.1', resolve));

answer({
  listen: (wanted: RelayTarget) => {
    target = wanted;
    return (server.address() as AddressInfo).port;
  },
  /** Connections that are open. */
  open: () => sockets.size / 2,
});
