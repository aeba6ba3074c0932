import { createServer as createHttp2Server } from 'node:http2';
import type { Http2Server, Http2Session, ServerHttp2Session, ServerHttp2Stream } from 'node:http2';
import type { Socket } from 'node:net';
import { defaultLimits as http1Limits } from '../http1/limits.ts';
import { Deadlines } from '../http1/proxy/deadlines.ts';
import { Http1Frontend } from '../http1/proxy/frontend.ts';
import { defaultTimeouts } from '../http1/proxy/handler.ts';
import type { Handler } from '../http1/proxy/handler.ts';
import { UpstreamPool } from '../http1/proxy/upstream-pool.ts';
import type { HttpSite, Limits } from './exchange.ts';
import { toHandler } from './http1-handler.ts';
import { forwardHttp2 } from './http2-forward.ts';
import { closeWhenIdle } from './http2-idle.ts';
import { connectionWindow, http2Settings } from './http2-settings.ts';
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
}

interface Context {
  readonly site: HttpSite;
  readonly peer: Peer;
}

export function createHttpFrontend(options: FrontendOptions): HttpFrontend {
  const { limits, tunnels } = options;
  const sessions = new Map<Http2Session, Context>();
  let accepting: Context | undefined;

  const http1 = createHttp1(options);
  const http2 = createHttp2(limits, (session) => {
    const context = accepting;
    if (!context) throw new Error("can't happen: a session without a connection");
    sessions.set(session, context);
    const ended = context.site.recorder.connection(context.site.direction, 'http2');
    session.once('close', () => {
      sessions.delete(session);
      ended();
    });
    if (context.site.draining()) session.close();
  });
  http2.on('stream', (stream: ServerHttp2Stream, _headers, flags: number, raw?: string[]) => {
    const context = stream.session && sessions.get(stream.session);
    if (context && raw) forwardHttp2(context.site, stream, raw, flags, context.peer);
    else stream.close();
  });

  return {
    accept(socket, version, site, peer) {
      if (version === 'h2') {
        accepting = { site, peer };
        try {
          http2.emit('connection', socket);
        } finally {
          accepting = undefined;
        }
        return;
      }
      socket.once('close', site.recorder.connection(site.direction, 'http1'));
      http1.accept(socket, toHandler(site, { socket, peer, tunnels }));
    },
    acceptHttp1: (socket, handler) => http1.accept(socket, handler),
    drain() {
      for (const session of sessions.keys()) session.close();
    },
    close() {
      http1.close();
      for (const session of sessions.keys()) session.destroy();
    },
  };
}

/** Deadlines are kept to within a tick: one second, or less where limits are shorter. */
const longestTick = 1_000;

function createHttp1({ limits, halfClosed, upstreamIdle }: FrontendOptions): {
  accept(socket: Socket, handler: Handler): void;
  close(): void;
} {
  const { streamIdle, headers, connectionIdle, connections } = limits;
  const stopping = new AbortController();
  const deadlines = new Deadlines(Math.min(longestTick, streamIdle, headers, connectionIdle));
  deadlines.run(stopping.signal);
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
      stopping.abort();
    },
  };
}

function createHttp2(limits: Limits, onSession: (session: ServerHttp2Session) => void): Http2Server {
  const server = createHttp2Server(http2Settings);
  server.on('session', (session: ServerHttp2Session) => {
    session.setLocalWindowSize(connectionWindow);
    const idle = closeWhenIdle(session, limits.connectionIdle);
    session.on('stream', (stream) => idle.add(stream));
    session.on('error', () => session.destroy());
    onSession(session);
  });
  server.on('sessionError', () => undefined);
  return server;
}
