import { Deadlines } from '../http1/proxy/deadlines.ts';
import { Http2Connection } from '../http2/connection.ts';
import { IdleWatch } from '../http2/idle.ts';
import { Keepalive, type KeepaliveLimits } from '../http2/keepalive.ts';
import { toUpstreamLimits } from './http2-settings.ts';
import { connectTimeout } from './upstream.ts';
import type { Upstream } from './upstream.ts';

/** HTTP/2 connections, by the key of their upstream; many streams share one. */
export interface Http2Pool {
  /** A connection that takes one stream more now, when nobody waits for one. Only until control returns. */
  find(upstream: Upstream): Http2Connection | undefined;
  /** Finds room for one stream more: calls the waiter, at once where there is room, or later. */
  acquire(upstream: Upstream, waiter: Waiter): void;
  close(): void;
}

export interface Waiter {
  /** False: it is neither called nor waited for any more. */
  readonly wanted: boolean;
  /** The connection takes a stream; only until this returns. */
  ready(connection: Http2Connection): void;
  /** The peer can't be reached, or takes no streams: nothing was sent. */
  failed(): void;
}

interface PoolOptions {
  /** A further connection is opened when all have this many streams. */
  readonly streamsPerConnection: number;
  readonly maxConnections: number;
  readonly idleTimeout: number;
  readonly keepalive?: KeepaliveLimits;
  /** What handles a stream threw: a fault of ours, and the stream was reset. */
  readonly onCrash?: ((error: unknown) => void) | undefined;
}

interface Host {
  /** The last that was asked for: equal keys lead to the same place. */
  upstream: Upstream;
  readonly connections: Set<Http2Connection>;
  opening: boolean;
  serving: boolean;
  /** No further connection before: the last could not be made while others are there. */
  notBefore: number;
  waiting: Waiter[];
}

const tick = 1_000;
/** A peer that is gone is found within 45 s and a few ticks. */
const defaultKeepalive: KeepaliveLimits = { silence: 15_000, patience: 15_000 };
/** After a connection that could not be made beside others, in milliseconds. */
const pause = 1_000;
/** So many requests may wait for a stream to one upstream. */
const maxWaiting = 1_024;

export function createHttp2Pool(options: PoolOptions): Http2Pool {
  const { streamsPerConnection, maxConnections, idleTimeout, keepalive = defaultKeepalive, onCrash } = options;
  const hosts = new Map<string, Host>();
  const stopping = new AbortController();
  const deadlines = new Deadlines(Math.min(tick, idleTimeout, keepalive.silence));
  deadlines.run(stopping.signal);
  const limits = toUpstreamLimits(streamsPerConnection);

  function hostOf(upstream: Upstream): Host {
    let host = hosts.get(upstream.key);
    if (!host)
      hosts.set(
        upstream.key,
        (host = { upstream, connections: new Set(), opening: false, serving: false, notBefore: 0, waiting: [] }),
      );
    host.upstream = upstream;
    return host;
  }

  function freest({ connections }: Host): Http2Connection | undefined {
    let best: Http2Connection | undefined;
    for (const connection of connections) {
      if (!connection.open) continue;
      const isFree = connection.streams < streamsPerConnection || connections.size >= maxConnections;
      if (isFree && (!best || connection.streams < best.streams)) best = connection;
    }
    return best;
  }

  /** Gives those who wait what there is, and opens more where it is not enough. */
  function serve(host: Host): void {
    // What a waiter does with its stream leads back here.
    if (host.serving) return;
    host.serving = true;
    while (host.waiting.length > 0) {
      const connection = freest(host);
      if (!connection) break;
      const waiter = host.waiting.shift() as Waiter;
      try {
        if (waiter.wanted) waiter.ready(connection);
      } catch (error) {
        // Those behind it are none the worse.
        onCrash?.(error);
      }
    }
    host.serving = false;
    if (host.waiting.length === 0) forgetWhenEmpty(host);
    else if (mayOpen(host)) void open(host);
  }

  function mayOpen({ opening, connections, notBefore }: Host): boolean {
    return !opening && connections.size < maxConnections && (connections.size === 0 || Date.now() >= notBefore);
  }

  function failAll(host: Host): void {
    const { waiting } = host;
    host.waiting = [];
    for (const waiter of waiting) if (waiter.wanted) waiter.failed();
  }

  async function open(host: Host): Promise<void> {
    host.opening = true;
    const connection = await connect(host);
    host.opening = false;
    // It may have been filled already.
    const isOfUse = connection !== undefined && (connection.open || connection.streams > 0);
    if (!isOfUse) {
      host.notBefore = Date.now() + pause;
      // Others may yet have room for those who wait; one that takes no stream at all never will.
      if (host.connections.size === (connection?.retired === false ? 1 : 0)) failAll(host);
    }
    serve(host);
  }

  /** Resolves when streams may be opened, or never will be. */
  async function connect(host: Host): Promise<Http2Connection | undefined> {
    let connection: Http2Connection;
    const alive = host.upstream.isSidecar === true ? new Keepalive(deadlines, keepalive) : undefined;
    let settle: (() => void) | undefined;
    const settled = new Promise<void>((resolve) => (settle = resolve));
    const idle = new IdleWatch(deadlines, { idle: idleTimeout, headers: Math.min(connectTimeout, idleTimeout) });
    try {
      const socket = await host.upstream.connect('h2');
      connection = new Http2Connection(socket, 'client', {
        limits,
        now: Date.now,
        onActivity() {
          idle.update();
          if (host.waiting.length > 0) serve(host);
        },
        ...(onCrash ? { onCrash } : {}),
        onReady: () => settle?.(),
        onRetired() {
          host.connections.delete(connection);
          forgetWhenEmpty(host);
          settle?.();
        },
        onClosed() {
          idle.stop();
          alive?.stop();
        },
      });
    } catch {
      return undefined;
    }
    host.connections.add(connection);
    idle.start(connection);
    alive?.start(connection);
    if (stopping.signal.aborted) connection.drain();
    await settled;
    return connection;
  }

  function forgetWhenEmpty(host: Host): void {
    const { key } = host.upstream;
    const isEmpty = host.connections.size === 0 && !host.opening && host.waiting.length === 0;
    if (isEmpty && hosts.get(key) === host) hosts.delete(key);
  }

  return {
    find(upstream) {
      const host = hosts.get(upstream.key);
      if (host === undefined || host.waiting.length > 0) return undefined;
      host.upstream = upstream;
      return freest(host);
    },
    acquire(upstream, waiter) {
      const host = hostOf(upstream);
      const connection = host.waiting.length === 0 ? freest(host) : undefined;
      if (connection) {
        waiter.ready(connection);
        return;
      }
      if (host.waiting.length >= maxWaiting) host.waiting = host.waiting.filter(({ wanted }) => wanted);
      if (host.waiting.length >= maxWaiting) {
        waiter.failed();
        return;
      }
      host.waiting.push(waiter);
      serve(host);
    },
    close() {
      stopping.abort();
      for (const { connections } of hosts.values()) for (const connection of [...connections]) connection.drain();
    },
  };
}
