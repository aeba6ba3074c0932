import type { Socket } from 'node:net';
import { defaultLimits as http1Limits } from '../http1/limits.ts';
import { Deadlines } from '../http1/proxy/deadlines.ts';
import { Http1Frontend } from '../http1/proxy/frontend.ts';
import { defaultTimeouts } from '../http1/proxy/handler.ts';
import type { Handler } from '../http1/proxy/handler.ts';
import { UpstreamPool } from '../http1/proxy/upstream-pool.ts';
import type { HttpSite, Limits } from './exchange.ts';
import { toHandler } from './http1-handler.ts';
import { Http2Connection } from '../http2/connection.ts';
import { IdleWatch } from '../http2/idle.ts';
import { forwardHttp2 } from './http2-forward.ts';
import { http2Limits } from './http2-settings.ts';
import { RequestDeadlines } from './request-deadlines.ts';
import type { Peer } from './peer-identity.ts';
import type { Tunnels } from './tunnels.ts';

/** Speaks HTTP/1.1 and HTTP/2 on connections that others have accepted, each with its own site and peer. */
export interface HttpFrontend {
  accept(socket: Socket, version: 'http/1.1' | 'h2', site: HttpSite, peer: Peer): void;
  /** HTTP/1.1 whose requests each find their own site. */
  acceptHttp1(socket: Socket, handler: Handler): void;
  /** No more than what is under way: GOAWAY to HTTP/2, `Connection: close` is the sites' part. */
  drain(): void;
  close(): void;
}

export interface FrontendOptions {
  readonly limits: Limits;
  readonly tunnels: Tunnels;
  /**
   * How long a client that shut down its side may wait for its answer, in milliseconds; 0: it is gone. Apps may do that,
   * though most that do have given up; sidecars never do.
   */
  readonly halfClosed: number;
  /** Kept-alive HTTP/1.1 connections to upstreams. */
  readonly upstreamIdle: number;
  /** What handles a stream threw: a fault of ours, and the stream was reset. */
  readonly onCrash?: ((error: unknown) => void) | undefined;
}

export function createHttpFrontend(options: FrontendOptions): HttpFrontend {
  const { limits, tunnels, onCrash } = options;
  const { streamIdle, headers, connectionIdle } = limits;
  const stopping = new AbortController();
  const deadlines = new Deadlines(Math.min(longestTick, streamIdle, headers, connectionIdle));
  deadlines.run(stopping.signal);
  const requests = new RequestDeadlines(deadlines);
  const http1 = createHttp1(options, deadlines);
  const connections = new Set<Http2Connection>();

  function acceptHttp2(socket: Socket, site: HttpSite, peer: Peer): void {
    const ended = site.recorder.connection(site.direction, 'http2');
    const idle = new IdleWatch(deadlines, { idle: connectionIdle, headers });
    const connection = new Http2Connection(socket, 'server', {
      limits: http2Limits,
      now: Date.now,
      onActivity: () => idle.update(),
      ...(onCrash ? { onCrash } : {}),
      onRequest: (stream, head, end, overflow) => forwardHttp2(site, { stream, head, end, overflow }, peer, requests),
      onClosed() {
        connections.delete(connection);
        idle.stop();
        ended();
      },
    });
    connections.add(connection);
    idle.start(connection);
    if (site.draining()) connection.drain();
  }

  return {
    accept(socket, version, site, peer) {
      if (version === 'h2') {
        acceptHttp2(socket, site, peer);
        return;
      }
      socket.once('close', site.recorder.connection(site.direction, 'http1'));
      http1.accept(socket, toHandler(site, { socket, peer, tunnels }));
    },
    acceptHttp1: (socket, handler) => http1.accept(socket, handler),
    drain() {
      for (const connection of connections) connection.drain();
    },
    close() {
      http1.close();
      for (const connection of [...connections]) connection.destroy();
      stopping.abort();
    },
  };
}

/** Deadlines are kept to within a tick: one second, or less where limits are shorter. */
const longestTick = 1_000;

function createHttp1(
  { limits, halfClosed, upstreamIdle }: FrontendOptions,
  deadlines: Deadlines,
): {
  accept(socket: Socket, handler: Handler): void;
  close(): void;
} {
  const { streamIdle, headers, connectionIdle, connections } = limits;
  const pool = new UpstreamPool({
    limits: http1Limits,
    deadlines,
    maxConnections: connections,
    maxIdle: 128,
    idleMillis: upstreamIdle,
  });
  const frontend = new Http1Frontend({
    limits: http1Limits,
    deadlines,
    pool,
    timeouts: { ...defaultTimeouts, head: headers, clientIdle: connectionIdle, stream: streamIdle, halfClosed },
  });
  return {
    accept: (socket, handler) => frontend.accept(socket, handler),
    close() {
      frontend.close();
      pool.close();
    },
  };
}
