import { Deadlines } from '../http1/proxy/deadlines.ts';
import { Http2Connection } from '../http2/connection.ts';
import { IdleWatch } from '../http2/idle.ts';
import type { Http2Stream, StreamReader } from '../http2/stream.ts';
import { http2Limits } from './http2-settings.ts';
import type { Upstream } from './upstream.ts';

/** HTTP/2 connections, by the key of their upstream; many streams share one. */
export interface Http2Pool {
  /** Opens a stream. Rejects when the peer can't be reached: nothing was sent then. */
  open(upstream: Upstream, fields: readonly string[], end: boolean, reader: StreamReader): Promise<Http2Stream>;
  close(): void;
}

interface PoolOptions {
  /** A further connection is opened when all have this many streams. */
  readonly streamsPerConnection: number;
  readonly maxConnections: number;
  readonly idleTimeout: number;
}

interface Host {
  readonly connections: Set<Http2Connection>;
  opening: Promise<Http2Connection> | undefined;
}

const tick = 1_000;

export function createHttp2Pool({ streamsPerConnection, maxConnections, idleTimeout }: PoolOptions): Http2Pool {
  const hosts = new Map<string, Host>();
  const stopping = new AbortController();
  const deadlines = new Deadlines(Math.min(tick, idleTimeout));
  deadlines.run(stopping.signal);

  function hostOf(key: string): Host {
    let host = hosts.get(key);
    if (!host) hosts.set(key, (host = { connections: new Set(), opening: undefined }));
    return host;
  }

  function find({ connections }: Host): Http2Connection | undefined {
    let best: Http2Connection | undefined;
    for (const connection of connections) {
      if (!connection.open) continue;
      const isFree = connection.streams < streamsPerConnection || connections.size >= maxConnections;
      if (isFree && (!best || connection.streams < best.streams)) best = connection;
    }
    return best;
  }

  async function connect(upstream: Upstream, host: Host): Promise<Http2Connection> {
    const socket = await upstream.connect('h2');
    const idle = new IdleWatch(deadlines, { idle: idleTimeout, headers: idleTimeout });
    const connection = new Http2Connection(socket, 'client', {
      limits: http2Limits,
      now: Date.now,
      onActivity: () => idle.update(),
      onRetired() {
        host.connections.delete(connection);
        forgetWhenEmpty(upstream.key, host);
      },
      onClosed: () => idle.stop(),
    });
    idle.start(connection);
    host.connections.add(connection);
    if (stopping.signal.aborted) connection.drain();
    return connection;
  }

  function forgetWhenEmpty(key: string, host: Host): void {
    if (host.connections.size === 0 && !host.opening && hosts.get(key) === host) hosts.delete(key);
  }

  function connectOnce(upstream: Upstream, host: Host): Promise<Http2Connection> {
    host.opening ??= connect(upstream, host).finally(() => {
      host.opening = undefined;
      forgetWhenEmpty(upstream.key, host);
    });
    return host.opening;
  }

  return {
    async open(upstream, fields, end, reader) {
      const host = hostOf(upstream.key);
      const connection = find(host) ?? (await connectOnce(upstream, host));
      if (!connection.open) throw new Error('the connection ended before it was used');
      return connection.request(fields, end, reader);
    },
    close() {
      stopping.abort();
      for (const { connections } of hosts.values()) for (const connection of connections) connection.drain();
    },
  };
}
