import { randomBytes } from 'node:crypto';
import { once } from 'node:events';
import { connect as connectHttp2 } from 'node:http2';
import { connect } from 'node:net';
import type { NetConnectOpts, Socket } from 'node:net';
import type { Span } from '../../pkg/observability/span.ts';
import { textOf } from '../../pkg/observability/span.ts';
import type { DenyReason } from '../../pkg/policy/decide.ts';
import type { DirectoryEntry } from '../../pkg/policy/proxy-policy.ts';
import { createHostIndex } from '../../pkg/sidecar/host-index.ts';
import { until } from '../support/envoy.ts';
import type { Call } from './calls.ts';
import type { CallOutcome } from './decide-call.ts';
import type { EnvoyMesh, LoadedClient, LoadedMesh } from './envoy-mesh.ts';

type Kind = 'served' | 'denied' | 'unavailable' | 'malformed' | 'closed';

interface Answer {
  readonly kind: Kind;
  readonly reason?: string;
  readonly traceId?: string;
  /** Known of a TCP connection alone; that of a request is in its spans. */
  readonly backend?: string;
}

/** Makes a call `times` over, as an app would, and counts what came of it. */
export async function makeCall(mesh: EnvoyMesh, loaded: LoadedMesh, call: Call, times: number): Promise<CallOutcome> {
  const counts = { shares: {} as Record<string, number>, denied: 0, unavailable: 0, malformed: 0 };
  const reasons = new Set<DenyReason>();
  const shadow = new Set<string>();
  const tally = ({ kind, reason, backend }: Answer, spans: readonly Span[]): void => {
    if (isDenyReason(reason)) reasons.add(reason);
    let served = backend ?? 'direct';
    for (const { attributes } of spans) {
      const recorded = textOf(attributes, 'tulle.reason');
      if (isDenyReason(recorded)) reasons.add(recorded);
      const rehearsed = textOf(attributes, 'tulle.shadow');
      if (rehearsed !== undefined) shadow.add(rehearsed.split('/')[1] ?? '');
      served = textOf(attributes, 'tulle.backend') ?? served;
    }
    if (kind === 'served') counts.shares[served] = (counts.shares[served] ?? 0) + 1 / times;
    else if (kind !== 'closed') counts[kind] += 1 / times;
  };
  const once = async (k: number): Promise<void> => {
    const answer = await callOnce(mesh, loaded, call, k);
    tally(answer, answer.traceId === undefined ? [] : await settledSpans(mesh, answer, call.from !== undefined));
  };
  // The log of a TCP connection does not say whose it is: one at a time.
  const atOnce = call.protocol === 'tcp' ? 1 : 12;
  for (let k = 0; k < times; k += atOnce) {
    await Promise.all(Array.from({ length: Math.min(atOnce, times - k) }, (_, i) => once(k + i)));
  }
  return { ...counts, reasons: [...reasons].sort(), shadow: [...shadow].sort() };
}

function isDenyReason(reason: string | undefined): reason is DenyReason {
  return ['NoTarget', 'SourceNotAllowed', 'RequestNotAllowed', 'PlaintextRefused'].includes(reason ?? '');
}

async function callOnce(mesh: EnvoyMesh, loaded: LoadedMesh, call: Call, k: number): Promise<Answer> {
  const { from, to } = call;
  const [host = '', digits = ''] = to.split(':');
  const port = Number(digits);
  if (from === undefined) {
    const [name = '', namespace = ''] = host.split('.');
    const [path] = loaded.serverSockets(`${namespace}/${name}`, port);
    if (path === undefined) throw new Error(`nobody serves ${to}`);
    return send({ path }, call, k, undefined);
  }
  const client = loaded.client(from);
  const [namespace = ''] = from.split('/');
  const found = createHostIndex(client.policy.directory, namespace).find(host, port);
  if (found.kind !== 'service') throw new Error(`the mesh has no ${to}`);
  const address = found.podIp ?? found.entry.addresses[0] ?? found.entry.pods?.[0]?.ip;
  // A Service without an address and without pods has no name to dial.
  if (address === undefined) return { kind: 'unavailable' };
  const target = client.loopback.locate(address, port);
  return call.protocol === 'tcp' ? callTcp(mesh, client, target, found.entry) : send(target, call, k, found.entry);
}

/** The spans of both hops have come. */
async function settledSpans(
  mesh: EnvoyMesh,
  { traceId = '', kind }: Answer,
  hasClient: boolean,
): Promise<readonly Span[]> {
  const spans = (): readonly Span[] => mesh.spans.get(traceId) ?? [];
  if (kind === 'malformed') return spans();
  await until(
    () => {
      const outbound = spans().find((span) => span.kind === 'client');
      if (hasClient && !outbound) return false;
      const meshed = outbound !== undefined && textOf(outbound.attributes, 'tulle.destination') !== undefined;
      return (outbound !== undefined && !meshed) || spans().some((span) => span.kind === 'server');
    },
    () => JSON.stringify(spans().map(({ name, kind: is, attributes }) => ({ name, is, attributes }))),
  );
  return spans();
}

async function send(to: NetConnectOpts, call: Call, k: number, entry: DirectoryEntry | undefined): Promise<Answer> {
  if (call.protocol === 'tcp') {
    const { text } = await talk(connect(to), entry);
    return { kind: text === '' ? 'closed' : 'served' };
  }
  // Every other call in HTTP/2, so that both versions are held to the same. The app at the end is `node:http`,
  // which knows the registered methods only.
  if (call.protocol === 'grpc' || k % 2 === 1 || /[a-z]/.test(call.method)) return sendHttp2(to, call);
  return sendHttp1(to, call);
}

async function sendHttp1(to: NetConnectOpts, call: Call): Promise<Answer> {
  const traceId = randomBytes(16).toString('hex');
  const socket = connect(to);
  socket.on('error', () => undefined);
  const lines = call.headers.map(([name, value]) => `${name}: ${value}\r\n`).join('');
  const trace = `traceparent: 00-${traceId}-${randomBytes(8).toString('hex')}-01\r\n`;
  const head = `${call.method} ${call.path} HTTP/1.1\r\nhost: ${call.authority ?? call.to}\r\nconnection: close\r\n`;
  socket.write(Buffer.from(`${head}${trace}${lines}\r\n`, 'latin1'));
  const text = await readAnswer(socket);
  socket.destroy();
  const [, status = '0'] = /^HTTP\/1\.1 (\d+)/.exec(text) ?? [];
  const reason = /\r\nx-tulle-reason: (\w+)/i.exec(text)?.[1];
  return { kind: toKind(Number(status)), traceId, ...(reason === undefined ? {} : { reason }) };
}

/** Envoy keeps a connection open for a second after an answer of its own: its end is told by its length. */
function readAnswer(socket: Socket): Promise<string> {
  return new Promise((resolve) => {
    let text = '';
    socket.on('data', (chunk: Buffer) => {
      text += chunk.toString('latin1');
      const head = text.indexOf('\r\n\r\n');
      const [, length] = /\r\ncontent-length: (\d+)/i.exec(text.slice(0, head + 2)) ?? [];
      if (head >= 0 && length !== undefined && text.length >= head + 4 + Number(length)) resolve(text);
    });
    socket.once('close', () => resolve(text));
  });
}

function toKind(status: number): Kind {
  if (status >= 200 && status < 300) return 'served';
  if (status === 403) return 'denied';
  if (status === 503) return 'unavailable';
  return status === 400 ? 'malformed' : 'closed';
}

async function sendHttp2(to: NetConnectOpts, call: Call): Promise<Answer> {
  const traceId = randomBytes(16).toString('hex');
  const session = connectHttp2('http://mesh', { createConnection: () => connect(to) });
  session.on('error', () => undefined);
  const grpc = call.protocol === 'grpc';
  const headers: Record<string, string | string[]> = {};
  for (const [name, value] of call.headers) {
    const known = headers[name];
    headers[name] = known === undefined ? value : [...(Array.isArray(known) ? known : [known]), value];
  }
  try {
    const stream = session.request({
      ':method': call.method,
      ':path': call.path,
      ':authority': call.authority ?? call.to,
      traceparent: `00-${traceId}-${randomBytes(8).toString('hex')}-01`,
      ...(grpc ? { 'content-type': 'application/grpc', te: 'trailers' } : {}),
      ...headers,
    });
    stream.end();
    const [answer] = (await once(stream, 'response')) as [Record<string, string | undefined>];
    stream.resume();
    const reason = answer['x-tulle-reason'];
    const kind = grpc ? (grpcKinds[String(answer['grpc-status'])] ?? 'closed') : toKind(Number(answer[':status']));
    return { kind, traceId, ...(reason === undefined ? {} : { reason }) };
  } catch {
    // Envoy resets a stream whose path it can't read.
    return { kind: 'malformed', traceId };
  } finally {
    session.destroy();
  }
}

const grpcKinds: Readonly<Record<string, Kind>> = { 0: 'served', 7: 'denied', 13: 'malformed', 14: 'unavailable' };

interface TcpLine {
  readonly event: string;
  readonly direction: string;
  readonly verdict: string;
  readonly reason?: string;
  readonly backend?: string;
  readonly pod?: string;
  readonly upstream?: string;
  readonly flags?: string;
}

/** A connection only closes; why is in the client's log. */
async function callTcp(
  _mesh: EnvoyMesh,
  { envoy }: LoadedClient,
  to: NetConnectOpts,
  entry: DirectoryEntry,
): Promise<Answer> {
  const start = envoy.output().length;
  const { text } = await talk(connect(to), entry);
  if (text.startsWith('HTTP/1.1 400')) return { kind: 'malformed' };
  let ended: TcpLine | undefined;
  await until(() => {
    const lines = envoy.output().slice(start).split('\n').slice(0, -1);
    const decoded = lines.filter((line) => line.includes('"kind":"tcp"')).map((line) => JSON.parse(line) as TcpLine);
    ended = decoded.find(({ event, direction }) => event === 'TcpConnectionEnd' && direction === 'outbound');
    return ended !== undefined;
  });
  const { verdict, reason, backend, upstream, flags = '' } = ended as TcpLine;
  if (text !== '') return { kind: 'served', ...(backend === undefined ? {} : { backend }) };
  if (verdict === 'denied') return { kind: 'denied', ...(reason === undefined ? {} : { reason }) };
  // It came as far as the peer, which did not want it.
  const reached = upstream !== undefined && !/\b(UF|UH)\b/.test(flags);
  return { kind: reached ? 'denied' : 'unavailable' };
}

function readAll(socket: Socket): Promise<string> {
  return new Promise((resolve) => {
    let text = '';
    socket.on('data', (chunk: Buffer) => (text += chunk.toString('latin1')));
    socket.once('close', () => resolve(text));
  });
}

async function talk(socket: Socket, entry: DirectoryEntry | undefined): Promise<{ text: string }> {
  socket.on('error', () => undefined);
  if (entry?.protocol !== 'tcp-server-first') socket.write('hello\r\n\r\n');
  const text = await readAll(socket);
  socket.destroy();
  return { text };
}
