import { connect, createServer, type Server, type Socket } from 'node:net';

/** Joins two sockets until both directions have ended; an error on one side ends the other. */
export function join(a: Socket, b: Socket): void {
  a.pipe(b);
  b.pipe(a);
  a.on('error', () => b.destroy());
  b.on('error', () => a.destroy());
  a.on('close', () => b.destroy());
  b.on('close', () => a.destroy());
}

/** Accepts on a unix socket and connects to a port of the pod, at the first of the addresses that takes it. */
export function runRelay(socketPath: string, hosts: readonly string[], port: number): Server {
  const server = createServer({ allowHalfOpen: true, pauseOnConnect: true }, (incoming) => {
    incoming.on('error', () => incoming.destroy());
    dial(hosts, port, (outgoing) => (outgoing ? join(incoming, outgoing) : incoming.destroy()));
  });
  server.maxConnections = 1024;
  server.listen(socketPath);
  return server;
}

function dial([host, ...others]: readonly string[], port: number, done: (socket?: Socket) => void): void {
  if (host === undefined) {
    done();
    return;
  }
  const socket = connect({ host, port, allowHalfOpen: true });
  const failed = (): void => dial(others, port, done);
  socket.once('error', failed);
  socket.once('connect', () => {
    socket.off('error', failed);
    done(socket);
  });
}
