import { createHash, timingSafeEqual } from 'node:crypto';
import { createServer } from 'node:http';
import type { IncomingMessage, Server, ServerResponse } from 'node:http';
import type { Socket } from 'node:net';
import { toBadRequest } from './denial.ts';
import type { LocalAnswer } from './denial.ts';
import type { Limits } from './exchange.ts';
import { linesOf, maxHeaderBytes } from './headers.ts';
import { refuseMalformed } from './http-frontend.ts';
import { toHttp1Target } from './http1-forward.ts';
import { decodeAuthority } from './host-index.ts';
import type { HostIndex } from './host-index.ts';
import type { OutboundTarget } from './outbound-listener.ts';

export interface ForwardProxyOptions {
  readonly port: number;
  /** What `http_proxy` carries as password: a workload's calls are its own (DECISIONS L2). */
  readonly secret: string;
  readonly limits: Limits;
  readonly hosts: () => HostIndex;
  /** A request for a Service of the mesh. */
  readonly onRequest: (target: OutboundTarget, req: IncomingMessage, res: ServerResponse) => void;
  /** A tunnel to a Service of the mesh: the bytes in it meet the same policy as any connection to it. */
  readonly onTunnel: (target: OutboundTarget, socket: Socket) => void;
  /** What is not of the mesh. */
  readonly onOutsideRequest: (host: string, port: number, req: IncomingMessage, res: ServerResponse) => void;
  readonly onOutsideTunnel: (host: string, port: number, socket: Socket, established: () => void) => void;
  /** Passes an Upgrade request to the handling of upgrades. */
  readonly onUpgrade: (target: OutboundTarget, req: IncomingMessage, socket: Socket, head: Buffer) => void;
}

export interface ForwardProxy {
  readonly port: number;
  stop(): void;
  close(): void;
}

const connected = 'HTTP/1.1 200 Connection Established\r\n\r\n';

/** An HTTP forward proxy for apps whose connections can't be redirected: `http_proxy=http://w:secret@127.0.0.1:port`. */
export async function runForwardProxy(options: ForwardProxyOptions): Promise<ForwardProxy> {
  const { limits } = options;
  const server = createServer({
    insecureHTTPParser: false,
    maxHeaderSize: maxHeaderBytes,
    keepAliveTimeout: limits.connectionIdle,
    headersTimeout: limits.headers,
    requestTimeout: 0,
    noDelay: true,
  });
  server.maxHeadersCount = 0;
  server.maxConnections = limits.connections;
  const handle = (req: IncomingMessage, res: ServerResponse): void => handleRequest(options, req, res);
  server.on('request', handle);
  server.on('checkContinue', handle);
  server.on('connect', (req: IncomingMessage, socket: Socket, head: Buffer) =>
    handleConnect(options, req, socket, head),
  );
  server.on('upgrade', (req: IncomingMessage, socket: Socket, head: Buffer) => {
    const found = route(options, req);
    if (found.kind === 'target') options.onUpgrade(found.target, req, socket, head);
    else
      endWith(
        socket,
        found.kind === 'answer' ? found.answer : toBadRequest('no upgrade to a host outside of the mesh'),
      );
  });
  server.on('clientError', refuseMalformed);
  return {
    port: await listen(server, options.port),
    stop: () => server.close(),
    close: () => server.closeAllConnections(),
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
function route(options: ForwardProxyOptions, req: IncomingMessage): Found {
  if (!isAuthorised(req, options.secret)) return { kind: 'answer', answer: authRequired };
  const place = req.method === 'CONNECT' ? { authority: req.url ?? '' } : toHttp1Target(req);
  const address = place && decodeAuthority(place.authority);
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
function isAuthorised(req: IncomingMessage, secret: string): boolean {
  const lines = linesOf(req.rawHeaders, 'proxy-authorization');
  const [, encoded] = /^basic +([A-Za-z0-9+/=]+)$/i.exec(lines[0] ?? '') ?? [];
  if (lines.length !== 1 || encoded === undefined) return false;
  const text = Buffer.from(encoded, 'base64').toString('utf8');
  const given = text.slice(text.indexOf(':') + 1);
  const digest = (value: string): Buffer => createHash('sha256').update(value).digest();
  return timingSafeEqual(digest(given), digest(secret));
}

function handleRequest(options: ForwardProxyOptions, req: IncomingMessage, res: ServerResponse): void {
  const found = route(options, req);
  if (found.kind === 'target') {
    const tcp = found.target.protocol === 'tcp' || found.target.protocol === 'tcp-server-first';
    if (tcp) answer(res, toBadRequest(`${found.target.key} speaks TCP: use CONNECT, or its port on the loopback`));
    else options.onRequest(found.target, req, res);
    return;
  }
  if (found.kind === 'outside') options.onOutsideRequest(found.host, found.port, req, res);
  else answer(res, found.answer);
}

function handleConnect(options: ForwardProxyOptions, req: IncomingMessage, socket: Socket, head: Buffer): void {
  socket.on('error', () => undefined);
  const found = route(options, req);
  if (found.kind === 'answer') {
    endWith(socket, found.answer);
    return;
  }
  if (head.length > 0) socket.unshift(head);
  if (found.kind === 'outside') {
    options.onOutsideTunnel(found.host, found.port, socket, () => socket.write(connected));
    return;
  }
  socket.write(connected);
  options.onTunnel(found.target, socket);
}

function answer(res: ServerResponse, { status, reason, body, headers = [] }: LocalAnswer): void {
  res.shouldKeepAlive = status === 407;
  res.writeHead(status, [
    'content-type',
    'text/plain; charset=utf-8',
    'content-length',
    String(Buffer.byteLength(body)),
    'x-tulle-reason',
    reason,
    ...headers,
  ]);
  res.end(body);
}

/** Answers a CONNECT or an Upgrade, where there is no ServerResponse. */
export function endWith(socket: Socket, { status, reason, body, headers = [] }: LocalAnswer): void {
  let head = `HTTP/1.1 ${status} tulle\r\ncontent-type: text/plain; charset=utf-8\r\nconnection: close\r\n`;
  for (let i = 0; i + 1 < headers.length; i += 2) head += `${headers[i]}: ${headers[i + 1]}\r\n`;
  head += `x-tulle-reason: ${reason}\r\ncontent-length: ${Buffer.byteLength(body)}\r\n\r\n`;
  socket.on('error', () => undefined);
  socket.end(head + body, () => socket.destroy());
}
