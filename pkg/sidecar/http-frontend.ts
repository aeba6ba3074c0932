import { createServer as createHttp1Server } from 'node:http';
import type { IncomingMessage, Server, ServerResponse } from 'node:http';
import { createServer as createHttp2Server } from 'node:http2';
import type { Http2Server, Http2Session, ServerHttp2Session, ServerHttp2Stream } from 'node:http2';
import type { Socket } from 'node:net';
import type { Duplex } from 'node:stream';
import type { HttpSite, Limits } from './exchange.ts';
import { maxHeaderBytes } from './headers.ts';
import { forwardHttp1 } from './http1-forward.ts';
import { upgradeHttp1 } from './http1-upgrade.ts';
import { forwardHttp2 } from './http2-forward.ts';
import { closeWhenIdle } from './http2-idle.ts';
import { connectionWindow, http2Settings } from './http2-settings.ts';
import type { Peer } from './peer-identity.ts';
import type { Tunnels } from './tunnels.ts';

/** Speaks HTTP/1.1 and HTTP/2 on connections that others have accepted, each with its own site and peer. */
export interface HttpFrontend {
  accept(socket: Socket, version: 'http/1.1' | 'h2', site: HttpSite, peer: Peer): void;
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
}

interface Context {
  readonly site: HttpSite;
  readonly peer: Peer;
}

export function createHttpFrontend({ limits, tunnels, halfClosed }: FrontendOptions): HttpFrontend {
  const contexts = new WeakMap<object, Context>();
  const sessions = new Map<Http2Session, Context>();
  let accepting: Context | undefined;

  const http1 = createHttp1(limits, halfClosed > 0, contexts, (req, socket, head, context) => {
    upgradeHttp1({
      ...context,
      tunnels,
      req,
      socket,
      head,
      again: () => http1.emit('connection', socket),
    });
  });
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
      contexts.set(socket, { site, peer });
      if (halfClosed > 0) endAfter(socket, halfClosed);
      socket.once('close', site.recorder.connection(site.direction, 'http1'));
      http1.emit('connection', socket);
    },
    drain() {
      for (const session of sessions.keys()) session.close();
    },
    close() {
      http1.closeAllConnections();
      http1.close();
      for (const session of sessions.keys()) session.destroy();
    },
  };
}

/** Ends a connection some time after its client has ended its side. */
function endAfter(socket: Socket, millis: number): void {
  socket.once('end', () => {
    const timer = setTimeout(() => socket.destroy(), millis);
    socket.once('close', () => clearTimeout(timer));
  });
}

function createHttp1(
  limits: Limits,
  halfOpen: boolean,
  contexts: WeakMap<object, Context>,
  onUpgrade: (req: IncomingMessage, socket: Socket, head: Buffer, context: Context) => void,
): Server {
  const server = createHttp1Server({
    // Strict, whatever NODE_OPTIONS says: what two parsers read differently is how requests are smuggled.
    insecureHTTPParser: false,
    maxHeaderSize: maxHeaderBytes,
    keepAliveTimeout: limits.connectionIdle,
    headersTimeout: limits.headers,
    // A body may take as long as it flows; silence is ended by the stream's own limit.
    requestTimeout: 0,
    connectionsCheckingInterval: Math.min(limits.headers, 5_000),
    noDelay: true,
  });
  // 0: nothing is dropped silently; the count is checked, and refused, with the framing.
  server.maxHeadersCount = 0;
  server.timeout = 0;
  (server as Server & { httpAllowHalfOpen: boolean }).httpAllowHalfOpen = halfOpen;
  const handle = (req: IncomingMessage, res: ServerResponse): void => {
    const context = contexts.get(req.socket);
    if (context) forwardHttp1(context.site, req, res, context.peer);
    else req.socket.destroy();
  };
  server.on('request', handle);
  // The app decides whether it wants the body: its 100 is passed on.
  server.on('checkContinue', handle);
  server.on('upgrade', (req: IncomingMessage, socket: Socket, head: Buffer) => {
    const context = contexts.get(socket);
    if (context) onUpgrade(req, socket, head, context);
    else socket.destroy();
  });
  server.on('connect', (_req: IncomingMessage, socket: Duplex) => {
    socket.on('error', () => undefined);
    socket.end('HTTP/1.1 405 Method Not Allowed\r\nconnection: close\r\ncontent-length: 0\r\n\r\n');
  });
  server.on('clientError', (error: NodeJS.ErrnoException, socket: Duplex) => {
    const context = contexts.get(socket);
    context?.site.recorder.refused(context.site.direction, 'malformed');
    refuseMalformed(error, socket);
  });
  // What `listen` would do: start the check for heads that never end.
  server.emit('listening');
  return server;
}

/** Answers bytes that are no HTTP/1.1, unless an answer is under way already. */
export function refuseMalformed(error: NodeJS.ErrnoException, socket: Duplex): void {
  const busy = (socket as { _httpMessage?: { headersSent?: boolean } })._httpMessage?.headersSent === true;
  if (busy || !socket.writable || error.code === 'ECONNRESET') {
    socket.destroy();
    return;
  }
  const status =
    error.code === 'HPE_HEADER_OVERFLOW'
      ? '431 Request Header Fields Too Large'
      : error.code === 'ERR_HTTP_REQUEST_TIMEOUT'
        ? '408 Request Timeout'
        : '400 Bad Request';
  socket.end(`HTTP/1.1 ${status}\r\nconnection: close\r\ncontent-length: 0\r\nx-tulle-reason: BadRequest\r\n\r\n`, () =>
    socket.destroy(),
  );
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
