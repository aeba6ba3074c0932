import { createHash } from 'node:crypto';
import { createServer, type IncomingMessage, type ServerResponse } from 'node:http';
import { type AddressInfo, connect, type Socket } from 'node:net';
import type { Duplex } from 'node:stream';

export interface FakeObject {
  readonly apiVersion?: string;
  readonly kind?: string;
  readonly metadata: {
    readonly name: string;
    readonly namespace?: string;
    readonly labels?: Record<string, string>;
    readonly annotations?: Record<string, string>;
  };
  readonly [field: string]: unknown;
}

export interface FakeCluster {
  readonly url: string;
  /** By their path: `/api/v1/namespaces/shop/pods/cart`. */
  readonly objects: Map<string, FakeObject>;
  /** `METHOD path` of what was asked. */
  readonly requests: { readonly method: string; readonly path: string; readonly body: unknown }[];
  /** Answers before the store does. */
  intercept:
    ((method: string, path: string, body: unknown) => { status: number; body: object } | undefined) | undefined;
  /** Local ports behind ports of pods: `shop/cart:15000`. */
  readonly forwards: Map<string, number>;
  kubeconfig(): string;
  close(): Promise<void>;
}

/** An API server of one user who may do everything, with objects in memory: enough for commands, not for watching. */
export async function startFakeCluster(objects: Readonly<Record<string, FakeObject>> = {}): Promise<FakeCluster> {
  const sockets = new Set<Duplex>();
  const server = createServer((request, response) => void answer(cluster, request, response));
  server.on('connection', (socket) => {
    sockets.add(socket);
    socket.once('close', () => sockets.delete(socket));
  });
  server.on('upgrade', (request, socket) => forward(cluster, request, socket));
  await new Promise<void>((resolve) => server.listen(0, '127.0.0.1', resolve));
  const url = `http://127.0.0.1:${(server.address() as AddressInfo).port}`;
  const cluster: FakeCluster = {
    url,
    objects: new Map(Object.entries(objects)),
    requests: [],
    intercept: undefined,
    forwards: new Map(),
    kubeconfig: () =>
      JSON.stringify({
        apiVersion: 'v1',
        kind: 'Config',
        'current-context': 'fake',
        contexts: [{ name: 'fake', context: { cluster: 'fake', user: 'fake' } }],
        clusters: [{ name: 'fake', cluster: { server: url } }],
        users: [{ name: 'fake', user: {} }],
      }),
    close: () =>
      new Promise((resolve) => {
        for (const socket of sockets) socket.destroy();
        server.close(() => resolve());
      }),
  };
  return cluster;
}

async function answer(cluster: FakeCluster, request: IncomingMessage, response: ServerResponse): Promise<void> {
  const { method = 'GET' } = request;
  const url = new URL(request.url ?? '/', 'http://fake');
  const chunks: Buffer[] = [];
  for await (const chunk of request as AsyncIterable<Buffer>) chunks.push(chunk);
  const text = Buffer.concat(chunks).toString('utf8');
  const body: unknown = text === '' ? undefined : JSON.parse(text);
  cluster.requests.push({ method, path: url.pathname, body });
  const given = cluster.intercept?.(method, url.pathname, body) ?? serve(cluster, method, url, body);
  response.writeHead(given.status, { 'content-type': 'application/json' });
  response.end(JSON.stringify(given.body));
}

function serve(
  { objects }: FakeCluster,
  method: string,
  { pathname: path, searchParams }: URL,
  body: unknown,
): { status: number; body: object } {
  const present = objects.get(path);
  if (method === 'POST') {
    const object = body as FakeObject;
    objects.set(`${path}/${object.metadata.name}`, object);
    return { status: 201, body: object };
  }
  const found = method === 'GET' ? discover(objects, path) : undefined;
  if (found !== undefined) return { status: 200, body: found };
  if (method === 'GET' && present === undefined && isCollection(path)) {
    const selector = (searchParams.get('labelSelector') ?? '').split(',').filter((part) => part !== '');
    const items = [...objects]
      .filter(([key]) => isIn(key, path))
      .map(([, object]) => object)
      .filter(({ metadata }) =>
        selector.every((part) => {
          const [key = '', value] = part.split('=');
          return value === undefined ? metadata.labels?.[key] !== undefined : metadata.labels?.[key] === value;
        }),
      );
    return { status: 200, body: { kind: 'List', metadata: { resourceVersion: '1' }, items } };
  }
  if (method === 'DELETE' && isCollection(path)) {
    for (const key of objects.keys()) if (isIn(key, path)) objects.delete(key);
    return { status: 200, body: {} };
  }
  if (present === undefined) return failure(404, 'NotFound', `${path} not found`);
  if (method === 'DELETE') {
    const [, inside] = /^\/api\/v1(\/namespaces\/[^/]+)$/.exec(path) ?? [];
    for (const key of objects.keys())
      if (key === path || (inside !== undefined && key.includes(`${inside}/`))) objects.delete(key);
    return { status: 200, body: { kind: 'Status', status: 'Success' } };
  }
  if (method === 'PATCH') objects.set(path, merge(present, body) as FakeObject);
  return { status: 200, body: objects.get(path) ?? {} };
}

/** Groups, versions and kinds are those of the objects that are there. */
function discover(objects: ReadonlyMap<string, FakeObject>, path: string): object | undefined {
  const [, group, version] = /^\/apis\/([^/]+)(?:\/([^/]+))?$/.exec(path) ?? [];
  if (group === undefined) return undefined;
  const mine = [...objects.keys()].map((key) => key.split('/').slice(2)).filter(([each]) => each === group);
  if (mine.length === 0) return undefined;
  const names = (at: number): string[] => [...new Set(mine.map((parts) => parts.at(at) ?? ''))];
  return version === undefined
    ? { versions: names(1).map((each) => ({ version: each })) }
    : { resources: names(-2).map((name) => ({ name })) };
}

/** In paths of Kubernetes resources and names alternate after the version. */
function isCollection(path: string): boolean {
  return rest(path).length % 2 === 1;
}

function rest(path: string): readonly string[] {
  const parts = path.split('/').filter((part) => part !== '');
  return parts.slice(parts[0] === 'api' ? 2 : 3);
}

/** Of a collection in a namespace, or in all of them. */
function isIn(key: string, collection: string): boolean {
  const parent = key.slice(0, key.lastIndexOf('/'));
  return parent === collection || parent.replace(/\/namespaces\/[^/]+(?=\/)/, '') === collection;
}

export function failure(status: number, reason: string, message: string): { status: number; body: object } {
  return { status, body: { kind: 'Status', status: 'Failure', reason, message, code: status } };
}

/** JSON merge patch (RFC 7396). */
function merge(target: unknown, patch: unknown): unknown {
  if (typeof patch !== 'object' || patch === null || Array.isArray(patch)) return patch;
  const result: Record<string, unknown> = { ...(typeof target === 'object' ? target : {}) };
  for (const [key, value] of Object.entries(patch)) {
    if (value === null) delete result[key];
    else result[key] = merge(result[key], value);
  }
  return result;
}

/** Port forwarding as a kubelet speaks it over a web socket (`v4.channel.k8s.io`): channel 0 is data, 1 is errors. */
function forward(cluster: FakeCluster, request: IncomingMessage, socket: Duplex): void {
  const url = new URL(request.url ?? '/', 'http://fake');
  const [, namespace, pod] = /\/namespaces\/([^/]+)\/pods\/([^/]+)\/portforward$/.exec(url.pathname) ?? [];
  const port = Number(url.searchParams.get('ports'));
  cluster.requests.push({ method: 'UPGRADE', path: url.pathname, body: undefined });
  const refused = cluster.intercept?.('UPGRADE', url.pathname, undefined);
  if (refused !== undefined) {
    socket.end(`HTTP/1.1 ${refused.status} Refused\r\nconnection: close\r\ncontent-length: 0\r\n\r\n`);
    return;
  }
  const accept = createHash('sha1')
    .update(`${request.headers['sec-websocket-key']}258EAFA5-E914-47DA-95CA-C5AB0DC85B11`)
    .digest('base64');
  socket.write(
    `HTTP/1.1 101 Switching Protocols\r\nupgrade: websocket\r\nconnection: Upgrade\r\nsec-websocket-accept: ${accept}\r\nsec-websocket-protocol: v4.channel.k8s.io\r\n\r\n`,
  );
  const number = Buffer.from([port & 255, port >> 8]);
  const send = (channel: number, data: Buffer): void =>
    void socket.write(toFrame(Buffer.concat([Buffer.from([channel]), data])));
  send(0, number);
  send(1, number);
  const local = cluster.forwards.get(`${namespace}/${pod}:${port}`);
  if (local === undefined) {
    send(1, Buffer.from(`error forwarding port ${port} to pod ${pod}: connection refused`));
    return;
  }
  const inner: Socket = connect(local, '127.0.0.1');
  inner.on('data', (data) => send(0, data));
  inner.on('error', () => socket.end());
  inner.on('close', () => socket.end(Buffer.from([0x88, 0])));
  readFrames(socket, (data) => inner.write(data.subarray(1)));
  socket.on('close', () => inner.destroy());
  socket.on('error', () => inner.destroy());
}

function toFrame(data: Buffer): Buffer {
  const head = data.length < 126 ? Buffer.from([0x82, data.length]) : Buffer.alloc(10);
  if (data.length >= 126) {
    head.writeUInt16BE(0x827f, 0);
    head.writeBigUInt64BE(BigInt(data.length), 2);
  }
  return Buffer.concat([head, data]);
}

/** Frames of a client (RFC 6455 §5.2), which are masked; a close frame ends the connection. */
function readFrames(socket: Duplex, onData: (data: Buffer) => void): void {
  let buffer = Buffer.alloc(0);
  socket.on('data', (chunk: Buffer) => {
    buffer = Buffer.concat([buffer, chunk]);
    for (;;) {
      if (buffer.length < 2) return;
      const short = (buffer[1] ?? 0) & 127;
      const extra = short === 126 ? 2 : short === 127 ? 8 : 0;
      if (buffer.length < 6 + extra) return;
      const length = extra === 2 ? buffer.readUInt16BE(2) : extra === 8 ? Number(buffer.readBigUInt64BE(2)) : short;
      const start = 6 + extra;
      if (buffer.length < start + length) return;
      const mask = buffer.subarray(start - 4, start);
      const data = Buffer.from(buffer.subarray(start, start + length)).map((byte, i) => byte ^ (mask[i % 4] ?? 0));
      const opcode = (buffer[0] ?? 0) & 15;
      buffer = buffer.subarray(start + length);
      if (opcode === 8) socket.end();
      else if (opcode === 1 || opcode === 2) onData(Buffer.from(data));
    }
  });
}
