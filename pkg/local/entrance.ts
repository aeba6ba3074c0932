import { connect, createServer } from 'node:net';
import { join } from './launcher/relay.ts';
import { freePort } from './ports.ts';

/** A loopback port of this machine that leads to a port of an isolated pod, past the mesh: for the user's browser. */
export interface Entrance {
  readonly port: number;
  readonly url: string;
  /** Where the pod's launcher takes the connections. */
  readonly socket: string;
  close(): void;
}

export async function openEntrance(name: string, port: number, socket: string): Promise<Entrance> {
  const server = createServer({ allowHalfOpen: true }, (incoming) => {
    incoming.on('error', () => incoming.destroy());
    const outgoing = connect({ path: socket, allowHalfOpen: true });
    join(incoming, outgoing);
  });
  server.maxConnections = 256;
  const local = await freePort(name, new Set());
  await new Promise<void>((resolve, reject) => {
    server.once('error', reject);
    server.listen({ host: '127.0.0.1', port: local, exclusive: true }, resolve);
  });
  return { port, url: `http://127.0.0.1:${local}`, socket, close: () => void server.close() };
}
