import { createHash, timingSafeEqual } from 'node:crypto';
import { createServer } from 'node:net';
import type { Server, Socket } from 'node:net';
import type { RequestHead } from '../http1/head.ts';
import type { Forward, Handler, LocalReply, Take } from '../http1/proxy/handler.ts';
import { toBadRequest } from './denial.ts';
import type { LocalAnswer } from './denial.ts';
import type { Limits } from './exchange.ts';
import { decodeAuthority } from './host-index.ts';
import type { HostIndex } from './host-index.ts';
import { toReply } from './http1-handler.ts';
import type { OutboundTarget } from './outbound-listener.ts';

/** What a request through the proxy becomes: an answer, or the way on. */
export type Http1Answer = Forward | LocalReply;

export interface ForwardProxyOptions {
  readonly port: number;
  /** What `http_proxy` carries as password: a workload's calls are its own (DECISIONS L2). */
  readonly secret: string;
  readonly limits: Limits;
  readonly hosts: () => HostIndex;
  /** Serves HTTP/1.1 on a connection. */
  readonly accept: (socket: Socket, handler: Handler) => void;
  /** A request for a Service of the mesh. */
  readonly onRequest: (target: OutboundTarget, head: RequestHead, socket: Socket) => Http1Answer;
  /** A tunnel to a Service of the mesh: the bytes in it meet the same policy as any connection to it. */
  readonly onTunnel: (target: OutboundTarget, socket: Socket) => void;
  /** What is not of the mesh. */
  readonly onOutsideRequest: (host: string, port: number, head: RequestHead, socket: Socket) => Http1Answer;
  /** What to say, or who takes the tunnel. */
  readonly onOutsideTunnel: (host: string, port: number) => LocalAnswer | ((socket: Socket) => void);
  /** Bytes that are no request. */
  readonly onRefused: Handler['onRefused'];
  readonly draining: () => boolean;
}

export interface ForwardProxy {
  readonly port: number;
  stop(): void;
}

const connected = 'HTTP/1.1 200 Connection Established\r\n\r\n';

/** An HTTP forward proxy for apps whose connections can't be redirected: `http_proxy=http://w:secret@127.0.0.1:port`. */
export async function runForwardProxy(options: ForwardProxyOptions): Promise<ForwardProxy> {
  const { limits, accept, onRefused, draining } = options;
  const server = createServer({ allowHalfOpen: true, noDelay: true }, (socket) => {
    socket.on('error', () => undefined);
    accept(socket, {
      onRequest: (head) => (head.method === 'CONNECT' ? toTunnel(options, head) : toAnswer(options, head, socket)),
      onRefused,
      draining,
    });
  });
  server.maxConnections = limits.connections;
  return {
    port: await listen(server, options.port),
    stop: () => server.close(),
  };
}

function listen(server: Server, port: number): Promise<number> {
  return new Promise((resolve, reject) => {
    server.once('error', reject);
    server.listen({ host: '127.0.0.1', port }, () => {
      server.off('error', reject);
      const address = server.address();
      resolve(typeof address === 'object' && address ? address.port : port);
    });
  });
}

type Found =
  | { readonly kind: 'target'; readonly target: OutboundTarget }
  | { readonly kind: 'outside'; readonly host: string; readonly port: number }
  | { readonly kind: 'answer'; readonly answer: LocalAnswer };

/** Where a request wants to go: its absolute target, else its Host. */
function route(options: ForwardProxyOptions, head: RequestHead): Found {
  if (!isAuthorised(head, options.secret)) return { kind: 'answer', answer: authRequired };
  const address = decodeAuthority(head.authority);
  if (!address)
    return {
      kind: 'answer',
      answer: toBadRequest('the request names no host'),
    };
  const { host, port } = address;
  const found = options.hosts().find(host, port);
  switch (found.kind) {
    case 'service': {
      const { key, protocol } = found.entry;
      const { podIp } = found;
      return {
        kind: 'target',
        target: {
          address: key,
          key,
          protocol,
          ...(podIp === undefined ? {} : { podIp }),
        },
      };
    }
    case 'port': {
      const which = port === undefined ? 'the request names no port' : `it has no port ${port}`;
      const body = `tulle: Unavailable: Service ${found.name}: ${which}; its ports: ${found.ports.join(', ')}\n`;
      return {
        kind: 'answer',
        answer: { status: 503, reason: 'Unavailable', body },
      };
    }
    case 'outside':
      return { kind: 'outside', host, port: port ?? 80 };
  }
}

const authRequired: LocalAnswer = {
  status: 407,
  reason: 'ProxyAuthRequired',
  body: 'tulle: ProxyAuthRequired: this proxy is for one workload, and asks for its secret\n',
  headers: ['proxy-authenticate', 'Basic realm="tulle"'],
};

/** Compares digests: the time that it takes says nothing of the secret. */
function isAuthorised(head: RequestHead, secret: string): boolean {
  const lines = head.lines('proxy-authorization');
  const [, encoded] = /^basic +([A-Za-z0-9+/=]+)$/i.exec(lines[0] ?? '') ?? [];
  if (lines.length !== 1 || encoded === undefined) return false;
  const text = Buffer.from(encoded, 'base64').toString('utf8');
  const given = text.slice(text.indexOf(':') + 1);
  const digest = (value: string): Buffer => createHash('sha256').update(value).digest();
  return timingSafeEqual(digest(given), digest(secret));
}

function toAnswer(options: ForwardProxyOptions, head: RequestHead, socket: Socket): Http1Answer {
  const found = route(options, head);
  switch (found.kind) {
    case 'answer':
      return toReply(found.answer);
    case 'outside':
      return options.onOutsideRequest(found.host, found.port, head, socket);
    case 'target': {
      const { key, protocol } = found.target;
      if (protocol === 'tcp' || protocol === 'tcp-server-first')
        return toReply(toBadRequest(`${key} speaks TCP: use CONNECT, or its port on the loopback`));
      return options.onRequest(found.target, head, socket);
    }
  }
}

function toTunnel(options: ForwardProxyOptions, head: RequestHead): LocalReply | Take {
  const found = route(options, head);
  if (found.kind === 'answer') return toReply(found.answer);
  const taker =
    found.kind === 'target'
      ? (socket: Socket) => options.onTunnel(found.target, socket)
      : options.onOutsideTunnel(found.host, found.port);
  if (typeof taker !== 'function') return toReply(taker);
  return {
    kind: 'take',
    take(duplex, rest) {
      const socket = duplex as Socket;
      socket.on('error', () => undefined);
      if (rest.length > 0) socket.unshift(rest);
      socket.write(connected);
      taker(socket);
    },
  };
}
