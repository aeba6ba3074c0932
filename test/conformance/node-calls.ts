import { once } from 'node:events';
import { readFileSync } from 'node:fs';
import { connect as connectHttp2 } from 'node:http2';
import { connect } from 'node:net';
import type { NetConnectOpts, Socket } from 'node:net';
import { isHttp } from '../../pkg/catalog/protocol.ts';
import type { HopSpan } from '../../pkg/observability/tracing.ts';
import type { DenyReason } from '../../pkg/policy/decide.ts';
import type { DirectoryEntry } from '../../pkg/policy/proxy-policy.ts';
import { createHostIndex } from '../../pkg/sidecar/host-index.ts';
import { readAll } from '../support/sidecar-mesh.ts';
import { type Call, toHttp2Headers } from './calls.ts';
import type { CallOutcome } from './decide-call.ts';
import type { NodeClient, NodeMesh } from './node-mesh.ts';

/** What came back of one call. */
type Answer = {
  readonly kind: 'served' | 'denied' | 'unavailable' | 'malformed' | 'closed';
  readonly reason?: string;
  readonly opaque?: boolean;
};

/** Makes a call `times` over, as an app would, and counts what came of it. */
export async function makeCall(mesh: NodeMesh, call: Call, times: number): Promise<CallOutcome> {
  const { from } = call;
  const client = from === undefined ? undefined : await mesh.client(from);
  const counts = { shares: {} as Record<string, number>, denied: 0, unavailable: 0, malformed: 0 };
  const reasons = new Set<DenyReason>();
  const shadow = new Set<string>();
  for (let k = 0; k < times; k++) {
    mesh.spans.length = 0;
    client?.draw(k, times);
    const answer = client ? await callThrough(client, call, k) : await callDirectly(mesh, call, k);
    const spans = await settledSpans(mesh, client !== undefined, answer);
    const outbound = spans.find(({ kind }) => kind === 'client');
    const inbound = spans.find(({ kind }) => kind === 'server');
    const outcome = answer.kind === 'closed' ? toOutcome(outbound, inbound) : answer;
    for (const { attributes } of spans) {
      const reason = attributes['tulle.reason'];
      if (typeof reason === 'string' && isDenyReason(reason)) reasons.add(reason);
      for (const name of (attributes['tulle.shadow'] ?? []) as string[]) shadow.add(name.split('/')[1] ?? '');
    }
    if (outcome.kind === 'served') {
      const backend = String(outbound?.attributes['tulle.backend'] ?? 'direct');
      counts.shares[backend] = (counts.shares[backend] ?? 0) + 1 / times;
    } else if (outcome.kind !== 'closed') counts[outcome.kind] += 1 / times;
  }
  return { ...counts, reasons: [...reasons].sort(), shadow: [...shadow].sort() };
}

function isDenyReason(reason: string): reason is DenyReason {
  return ['NoTarget', 'SourceNotAllowed', 'RequestNotAllowed', 'PlaintextRefused'].includes(reason);
}

/** A TCP connection only closes; why is in the spans. */
function toOutcome(outbound: HopSpan | undefined, inbound: HopSpan | undefined): Answer {
  const denied = [outbound, inbound].some((span) => span?.attributes['tulle.verdict'] === 'denied');
  return { kind: denied ? 'denied' : 'unavailable' };
}

/** Both hops have recorded: the caller hears of an answer a little before they do. */
async function settledSpans(mesh: NodeMesh, hasClient: boolean, answer: Answer): Promise<HopSpan[]> {
  const deadline = Date.now() + 2_000;
  const complete = (): boolean => {
    const outbound = mesh.spans.find(({ kind }) => kind === 'client');
    if (hasClient && !outbound) return answer.kind === 'malformed' && answer.opaque !== true;
    // Refused before it was a call of anybody: the server's side has no hop of it.
    if (answer.kind === 'malformed') return true;
    const went = outbound?.attributes['tulle.pod'] !== undefined;
    // To a pod without a sidecar, or to nobody at all: there is no second hop.
    const meshed = went && outbound.attributes['tulle.destination'] !== undefined;
    return (outbound !== undefined && !meshed) || mesh.spans.some(({ kind }) => kind === 'server');
  };
  while (!complete() && Date.now() < deadline) await new Promise((resolve) => setImmediate(resolve));
  return mesh.spans;
}

async function callThrough({ sidecar, hostsFile }: NodeClient, call: Call, k: number): Promise<Answer> {
  const [host = '', digits = ''] = call.to.split(':');
  const [namespace = ''] = call.from?.split('/') ?? [];
  const port = Number(digits);
  const addresses = addressesOf(hostsFile, host);
  const ip = addresses[k % addresses.length];
  // A Service without an address and without pods has no name to dial: its key tells what the answer would be.
  const found = createHostIndex(sidecar.store.directory, namespace).find(host, port);
  if (found.kind !== 'service') throw new Error(`the mesh has no ${call.to}`);
  if (ip === undefined) return { kind: 'unavailable' };
  const answer = await send({ host: '127.0.0.1', port: sidecar.portOf(`${ip}:${port}`) }, call, found.entry);
  return { ...answer, opaque: !isHttp(found.entry.protocol) };
}

/** All that a resolver finds for a name; apps take one or the other. */
function addressesOf(hostsFile: string, host: string): string[] {
  const name = host.toLowerCase().replace(/\.$/, '');
  const lines = readFileSync(hostsFile, 'utf8').split('\n');
  return lines.filter((text) => text.split(' ').slice(1).includes(name)).map((text) => text.split(' ')[0] ?? '');
}

async function callDirectly(mesh: NodeMesh, call: Call, k: number): Promise<Answer> {
  const [host = '', port] = call.to.split(':');
  const [name = '', namespace = ''] = host.split('.');
  const sockets = mesh.serverSockets(`${namespace}/${name}`, Number(port));
  const path = sockets[k % sockets.length];
  if (path === undefined) throw new Error(`nobody serves ${call.to}`);
  return send({ path }, call, undefined);
}

async function send(to: NetConnectOpts, call: Call, entry: DirectoryEntry | undefined): Promise<Answer> {
  if (call.protocol === 'grpc') return sendGrpc(to, call);
  const socket = connect(to);
  if (call.protocol === 'tcp') return sendTcp(socket, entry);
  const lines = call.headers.map(([name, value]) => `${name}: ${value}\r\n`).join('');
  socket.write(
    Buffer.from(
      `${call.method} ${call.path} HTTP/1.1\r\nhost: ${call.authority ?? call.to}\r\nconnection: close\r\n${lines}\r\n`,
      'latin1',
    ),
  );
  const text = await readAll(socket).catch(() => '');
  socket.destroy();
  const [, status = '0'] = /^HTTP\/1\.1 (\d+)/.exec(text) ?? [];
  const reason = /\r\nx-tulle-reason: (\w+)/i.exec(text)?.[1];
  return { kind: toKind(Number(status)), ...(reason === undefined ? {} : { reason }) };
}

function toKind(status: number): Answer['kind'] {
  if (status >= 200 && status < 300) return 'served';
  if (status === 403) return 'denied';
  if (status === 503) return 'unavailable';
  return status === 400 ? 'malformed' : 'closed';
}

async function sendTcp(socket: Socket, entry: DirectoryEntry | undefined): Promise<Answer> {
  socket.on('error', () => undefined);
  if (entry?.protocol !== 'tcp-server-first') socket.write('hello\r\n\r\n');
  const text = await readAll(socket).catch(() => '');
  socket.destroy();
  if (text.startsWith('HTTP/1.1 400')) return { kind: 'malformed' };
  return { kind: text === '' ? 'closed' : 'served' };
}

async function sendGrpc(to: NetConnectOpts, call: Call): Promise<Answer> {
  const session = connectHttp2('http://mesh', { createConnection: () => connect(to) });
  try {
    const stream = session.request({
      ':method': call.method,
      ':path': call.path,
      ':authority': call.authority ?? call.to,
      'content-type': 'application/grpc',
      te: 'trailers',
      ...toHttp2Headers(call.headers),
    });
    stream.end();
    const [headers] = (await once(stream, 'response')) as [Record<string, string | undefined>];
    stream.resume();
    const reason = headers['x-tulle-reason'];
    const kinds: Readonly<Record<string, Answer['kind']>> = {
      0: 'served',
      7: 'denied',
      13: 'malformed',
      14: 'unavailable',
    };
    const kind = kinds[String(headers['grpc-status'])] ?? 'closed';
    return { kind, ...(reason === undefined ? {} : { reason }) };
  } finally {
    session.close();
  }
}
