import { randomBytes } from 'node:crypto';
import { once } from 'node:events';
import { connect as connectHttp2 } from 'node:http2';
import { connect } from 'node:net';
import type { NetConnectOpts, Socket } from 'node:net';
import type { DenyReason } from '../../pkg/policy/decide.ts';
import type { DirectoryEntry } from '../../pkg/policy/proxy-policy.ts';
import { createHostIndex } from '../../pkg/sidecar/host-index.ts';
import { type Call, toHttp2Headers } from './calls.ts';
import type { LoadedClient, LoadedMesh } from './envoy-mesh.ts';

export type Kind = 'served' | 'denied' | 'unavailable' | 'malformed' | 'closed';

/** What the caller itself hears. */
export interface Heard {
  readonly kind: Kind;
  /** By lower-case name; empty for bytes that aren't HTTP. */
  readonly headers: Readonly<Record<string, string>>;
  /** That the request was sent with. */
  readonly traceId: string;
}

/** Where an app dials to make a call. */
export interface Dialled {
  readonly to: NetConnectOpts;
  readonly entry?: DirectoryEntry;
  /** Absent: a peer without a sidecar. */
  readonly client?: LoadedClient;
}

/** Undefined: the Service has neither an address nor pods, and so no name that could be dialled. */
export function findTarget(loaded: LoadedMesh, { from, to }: Call, k: number): Dialled | undefined {
  const [host = '', digits = ''] = to.split(':');
  const port = Number(digits);
  if (from === undefined) {
    const [name = '', namespace = ''] = host.split('.');
    const sockets = loaded.serverSockets(`${namespace}/${name}`, port);
    const path = sockets[k % sockets.length];
    if (path === undefined) throw new Error(`nobody serves ${to}`);
    return { to: { path } };
  }
  const client = loaded.client(from);
  const [namespace = ''] = from.split('/');
  const found = createHostIndex(client.policy.directory, namespace).find(host, port);
  if (found.kind !== 'service') throw new Error(`the mesh has no ${to}`);
  const addresses = found.podIp === undefined ? addressesOf(client, found.entry) : [found.podIp];
  const address = addresses[k % addresses.length];
  if (address === undefined) return undefined;
  return { to: client.loopback.locate(address, port), entry: found.entry, client };
}

/** What the name of a Service is resolved to: a headless one has the addresses of its pods, but for those known not to be ready. */
function addressesOf({ policy }: LoadedClient, { key, addresses, pods = [] }: DirectoryEntry): readonly string[] {
  if (addresses.length > 0) return addresses.slice(0, 1);
  const routes = policy.reach.outbound.get(key)?.routes ?? [];
  const sets = routes.flatMap(({ backends }) => backends.map(({ endpoints }) => policy.reach.endpoints.get(endpoints)));
  const unready = sets.flatMap((set) => set?.endpoints.filter(({ ready }) => !ready) ?? []);
  return pods.map(({ ip }) => ip).filter((ip) => !unready.some((endpoint) => endpoint.ip === ip));
}

export function isDenyReason(reason: string | undefined): reason is DenyReason {
  return ['NoTarget', 'SourceNotAllowed', 'RequestNotAllowed', 'PlaintextRefused'].includes(reason ?? '');
}

export async function sendHttp1(to: NetConnectOpts, call: Call): Promise<Heard> {
  const traceId = randomBytes(16).toString('hex');
  const socket = connect(to);
  socket.on('error', () => undefined);
  const lines = call.headers.map(([name, value]) => `${name}: ${value}\r\n`).join('');
  const trace = `traceparent: 00-${traceId}-${randomBytes(8).toString('hex')}-01\r\n`;
  const head = `${call.method} ${call.path} HTTP/1.1\r\nhost: ${call.authority ?? call.to}\r\nconnection: close\r\n`;
  socket.write(Buffer.from(`${head}${trace}${lines}\r\n`, 'latin1'));
  const text = await readAnswer(socket, call.method === 'HEAD');
  socket.destroy();
  const [, status = '0'] = /^HTTP\/1\.1 (\d+)/.exec(text) ?? [];
  const fields = [...text.slice(0, text.indexOf('\r\n\r\n')).matchAll(/\r\n([^:\r]+): ?([^\r]*)/g)];
  const headers = Object.fromEntries(fields.map(([, name = '', value = '']) => [name.toLowerCase(), value]));
  return { kind: toKind(Number(status), call), headers, traceId };
}

/**
 * All that is answered. Envoy keeps a connection open for a second after an answer of its own: the end of one in HTTP is told
 * by its length.
 */
function readAnswer(socket: Socket, headOnly: boolean): Promise<string> {
  return new Promise((resolve) => {
    let text = '';
    socket.on('data', (chunk: Buffer) => {
      text += chunk.toString('latin1');
      if (!text.startsWith('HTTP/1.1 ')) return;
      const head = text.indexOf('\r\n\r\n');
      const [, length] = /\r\ncontent-length: (\d+)/i.exec(text.slice(0, head + 2)) ?? [];
      const isWhole = headOnly || (length !== undefined && text.length >= head + 4 + Number(length));
      if (head >= 0 && isWhole) resolve(text);
    });
    socket.once('close', () => resolve(text));
  });
}

function toKind(status: number, { path }: Call): Kind {
  // Envoy's answer to a target that is no path.
  if (status === 404 && !path.startsWith('/')) return 'malformed';
  if (status >= 200 && status < 300) return 'served';
  if (status === 403) return 'denied';
  if (status === 503) return 'unavailable';
  return status === 400 ? 'malformed' : 'closed';
}

export async function sendHttp2(to: NetConnectOpts, call: Call): Promise<Heard> {
  const traceId = randomBytes(16).toString('hex');
  const session = connectHttp2('http://mesh', { createConnection: () => connect(to) });
  session.on('error', () => undefined);
  const grpc = call.protocol === 'grpc';
  try {
    const stream = session.request({
      ':method': call.method,
      ':path': call.path,
      ':authority': call.authority ?? call.to,
      traceparent: `00-${traceId}-${randomBytes(8).toString('hex')}-01`,
      ...(grpc ? { 'content-type': 'application/grpc', te: 'trailers' } : {}),
      ...toHttp2Headers(call.headers),
    });
    stream.end();
    const ended = new AbortController();
    stream.once('close', () => ended.abort());
    const heard = await once(stream, 'response', { signal: ended.signal });
    const [answer] = heard as [Record<string, string | undefined>];
    stream.resume();
    const kind = grpc
      ? (grpcKinds[String(answer['grpc-status'])] ?? 'closed')
      : toKind(Number(answer[':status']), call);
    const fields = Object.entries(answer).map(([name, value]) => [name, String(value)]);
    return { kind, headers: Object.fromEntries(fields) as Record<string, string>, traceId };
  } catch {
    // Envoy resets a stream whose path it can't read.
    return { kind: 'malformed', headers: {}, traceId };
  } finally {
    session.destroy();
  }
}

const grpcKinds: Readonly<Record<string, Kind>> = { 0: 'served', 7: 'denied', 13: 'malformed', 14: 'unavailable' };

/** A TCP connection: what it was answered, and the port that it came from. */
export interface Talk {
  readonly text: string;
  readonly localPort: number | undefined;
}

export async function talk(to: NetConnectOpts, entry: DirectoryEntry | undefined): Promise<Talk> {
  const socket = connect(to);
  let localPort: number | undefined;
  socket.once('connect', () => (localPort = socket.localPort));
  socket.on('error', () => undefined);
  if (entry?.protocol !== 'tcp-server-first') socket.write('hello\r\n\r\n');
  const text = await readAnswer(socket, false);
  socket.destroy();
  return { text, localPort };
}

/** A line of the access log of connections. */
export interface TcpLine {
  readonly event: string;
  readonly direction: string;
  readonly verdict: string;
  readonly reason?: string;
  readonly backend?: string;
  readonly pod?: string;
  readonly upstream?: string;
  readonly flags?: string;
  readonly told_peer?: string;
}

export function readTcpLines(text: string): TcpLine[] {
  const lines = text.split('\n').filter((line) => line.includes('"kind":"tcp"'));
  return lines.map((line) => JSON.parse(line) as TcpLine);
}

/** What became of a connection, by its line and by what it was answered. */
export function toTcpKind({ verdict, upstream, flags = '' }: TcpLine, text: string): Kind {
  if (text !== '') return 'served';
  if (verdict === 'denied') return 'denied';
  // It came as far as the peer, which did not want it.
  // The share of a backend without endpoints is closed inside of Envoy (pkg/envoy-config/endpoint.ts).
  const toNobody = String(upstream).startsWith('envoy://nobody');
  const reached = upstream !== undefined && !toNobody && !/\b(UF|UH)\b/.test(flags);
  return reached ? 'denied' : 'unavailable';
}
