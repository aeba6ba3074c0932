import { once } from 'node:events';
import { connect, createServer } from 'node:net';
import type { AddressInfo, Server, Socket } from 'node:net';
import type { RequestHead } from '../../pkg/http1/head.ts';
import { defaultLimits } from '../../pkg/http1/limits.ts';
import { Deadlines } from '../../pkg/http1/proxy/deadlines.ts';
import { Http1Frontend } from '../../pkg/http1/proxy/frontend.ts';
import type { Forward, Handler, LocalReply, Stats, Take } from '../../pkg/http1/proxy/handler.ts';
import { defaultTimeouts } from '../../pkg/http1/proxy/handler.ts';
import { UpstreamPool } from '../../pkg/http1/proxy/upstream-pool.ts';
import { createTunnels } from '../../pkg/sidecar/tunnels.ts';
import type { Tunnels } from '../../pkg/sidecar/tunnels.ts';

/** A proxy on the codec in front of one app, with loopback sockets. */
export interface TestProxy {
  readonly port: number;
  readonly stats: Stats[];
  readonly deadlines: Deadlines;
  readonly frontend: Http1Frontend;
  readonly tunnels: Tunnels;
  /** Requests whose path starts with `/deny` are answered by it; `/take` gives the socket away. */
  draining: boolean;
  /** Resolves when so many exchanges have ended. */
  ended(count: number): Promise<void>;
  close(): void;
}

export interface TestProxyOptions {
  readonly halfClosed?: number;
  readonly maxConnections?: number;
  readonly onHead?: (head: RequestHead) => void;
  readonly onTake?: (socket: Socket, rest: Buffer) => void;
}

export async function startProxy(appPort: number, options: TestProxyOptions = {}): Promise<TestProxy> {
  const deadlines = new Deadlines(1000);
  const pool = new UpstreamPool({
    limits: defaultLimits,
    deadlines,
    maxConnections: options.maxConnections ?? 100,
    maxIdle: 10,
    idleMillis: 60_000,
  });
  const frontend = new Http1Frontend({
    limits: defaultLimits,
    timeouts: { ...defaultTimeouts, halfClosed: options.halfClosed ?? defaultTimeouts.halfClosed },
    deadlines,
    pool,
  });
  const waiting: { count: number; resolve: () => void }[] = [];
  const server = createServer({ allowHalfOpen: true, noDelay: true });
  server.on('connection', (socket) => frontend.accept(socket, handler));
  const port = await listen(server);
  const proxy: TestProxy = {
    port,
    stats: [],
    deadlines,
    frontend,
    tunnels: createTunnels(),
    draining: false,
    ended(count) {
      if (proxy.stats.length >= count) return Promise.resolve();
      return new Promise((resolve) => waiting.push({ count, resolve }));
    },
    close() {
      server.close();
      frontend.close();
      pool.close();
    },
  };
  const handler: Handler = {
    onRequest(head): Forward | LocalReply | Take {
      options.onHead?.(head);
      if (head.path.startsWith('/deny')) return reply(403, 'RBAC: access denied\n');
      if (head.path.startsWith('/take')) {
        return {
          kind: 'take',
          take: (socket, rest) => options.onTake?.(socket as Socket, rest),
        };
      }
      return {
        kind: 'forward',
        edits: {},
        next: () => ({
          upstream: { key: 'app', connect: () => dial(appPort) },
          failed: () => undefined,
          succeeded: () => undefined,
          done: () => undefined,
        }),
        onResponse: () => ({}),
        onFailure: (failure) => reply(failure === 'timeout' ? 504 : 503, failure),
        onSwitch: ({ upstream, end, ...pair }) =>
          proxy.tunnels.join({
            ...pair,
            server: upstream,
            fromServer: pair.fromUpstream,
            idleTimeout: 60_000,
            stillAllowed: () => true,
            onEnd: end,
          }),
        onEnd(stats) {
          proxy.stats.push(stats);
          for (const { count, resolve } of waiting) if (proxy.stats.length >= count) resolve();
        },
      };
    },
    onRefused: (reason, status) => reply(status, reason),
    draining: () => proxy.draining,
  };
  return proxy;
}

function reply(status: number, body: string): LocalReply {
  return { kind: 'reply', status, lines: '', body };
}

async function dial(port: number): Promise<Socket> {
  const socket = connect({
    port,
    host: '127.0.0.1',
    allowHalfOpen: true,
    noDelay: true,
  });
  await once(socket, 'connect');
  return socket;
}

export async function listen(server: Server): Promise<number> {
  server.listen(0, '127.0.0.1');
  await once(server, 'listening');
  return (server.address() as AddressInfo).port;
}

/** A client that says what it likes, and remembers what it hears. */
export class RawClient {
  readonly socket: Socket;
  text = '';
  ended = false;
  closed = false;

  constructor(port: number) {
    this.socket = connect({
      port,
      host: '127.0.0.1',
      allowHalfOpen: true,
      noDelay: true,
    });
    this.socket.on('data', (chunk: Buffer) => {
      this.text += chunk.toString('latin1');
    });
    this.socket.on('end', () => {
      this.ended = true;
    });
    this.socket.on('error', () => undefined);
    this.socket.on('close', () => {
      this.closed = true;
    });
  }

  send(text: string): void {
    this.socket.write(text, 'latin1');
  }

  /** Resolves when what was heard is so. */
  async until(holds: (text: string) => boolean): Promise<string> {
    while (!holds(this.text)) await this.#something();
    return this.text;
  }

  async untilEnd(): Promise<string> {
    while (!this.ended && !this.closed) await this.#something();
    return this.text;
  }

  async #something(): Promise<void> {
    if (this.closed) throw new Error(`closed after ${JSON.stringify(this.text.slice(-200))}`);
    await new Promise<void>((resolve) => {
      const heard = (): void => {
        for (const name of ['data', 'end', 'close'] as const) this.socket.off(name, heard);
        resolve();
      };
      for (const name of ['data', 'end', 'close'] as const) this.socket.on(name, heard);
    });
  }
}

/** An app that answers by script: gets each connection with its number. */
export async function startApp(
  onConnection: (socket: Socket, index: number) => void,
): Promise<{ port: number; close(): void }> {
  const sockets = new Set<Socket>();
  let count = 0;
  const server = createServer({ allowHalfOpen: true, noDelay: true }, (socket) => {
    sockets.add(socket);
    socket.on('close', () => sockets.delete(socket));
    socket.on('error', () => undefined);
    onConnection(socket, count++);
  });
  const port = await listen(server);
  return {
    port,
    close() {
      server.close();
      for (const socket of sockets) socket.destroy();
    },
  };
}
