import { randomBytes } from 'node:crypto';
import { Agent, request } from 'node:http';
import type { IncomingHttpHeaders } from 'node:http';
import type { Socket } from 'node:net';

export interface Answer {
  readonly status: number;
  readonly headers: IncomingHttpHeaders;
  readonly body: string;
  /** That the request was sent with, as sampled. */
  readonly traceId: string;
}

/** Requests one after the other, on one connection for as long as the other side keeps it. */
export interface Kept {
  get(path: string): Promise<Answer>;
  /** How many were needed so far. */
  connections(): number;
  close(): void;
}

export function openKept(to: { readonly host?: string; readonly port?: number; readonly path?: string }): Kept {
  const { path: socketPath, ...place } = to;
  const agent = new Agent({ keepAlive: true, maxSockets: 1 });
  const sockets = new Set<Socket>();
  return {
    get(path) {
      const traceId = randomBytes(16).toString('hex');
      const headers = { host: 'cart.shop', traceparent: `00-${traceId}-${randomBytes(8).toString('hex')}-01` };
      return new Promise((resolve, reject) => {
        const options = { ...place, ...(socketPath === undefined ? {} : { socketPath }), path, headers, agent };
        const req = request(options, (res) => {
          let body = '';
          res.on('data', (chunk: Buffer) => (body += chunk.toString()));
          res.on('end', () => resolve({ status: res.statusCode ?? 0, headers: res.headers, body, traceId }));
        });
        req.on('socket', (socket) => sockets.add(socket));
        req.on('error', reject);
        req.end();
      });
    },
    connections: () => sockets.size,
    close: () => agent.destroy(),
  };
}
