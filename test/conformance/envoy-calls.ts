import { isHttp } from '../../pkg/catalog/protocol.ts';
import { textOf } from '../../pkg/observability/span.ts';
import type { Span } from '../../pkg/observability/span.ts';
import type { DenyReason } from '../../pkg/policy/decide.ts';
import { until } from '../support/envoy.ts';
import type { Call } from './calls.ts';
import type { CallOutcome } from './decide-call.ts';
import type { EnvoyMesh, LoadedMesh } from './envoy-mesh.ts';
import {
  type Dialled,
  findTarget,
  isDenyReason,
  type Kind,
  readTcpLines,
  sendHttp1,
  sendHttp2,
  talk,
  toTcpKind,
} from './envoy-requests.ts';

interface Answer {
  readonly kind: Kind;
  readonly reason?: string;
  readonly traceId?: string;
  /** Known of a TCP connection alone; that of a request is in its spans. */
  readonly backend?: string;
  /** The client's side looked into it, and so has a span of it. */
  readonly spoken?: boolean;
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
    const answer = await callOnce(loaded, call, k);
    tally(answer, answer.traceId === undefined ? [] : await settledSpans(mesh, answer));
  };
  // The log of a TCP connection does not say whose it is: one at a time.
  const atOnce = call.protocol === 'tcp' ? 1 : 12;
  for (let k = 0; k < times; k += atOnce) {
    await Promise.all(Array.from({ length: Math.min(atOnce, times - k) }, (_, i) => once(k + i)));
  }
  return { ...counts, reasons: [...reasons].sort(), shadow: [...shadow].sort() };
}

async function callOnce(loaded: LoadedMesh, call: Call, k: number): Promise<Answer> {
  const target = findTarget(loaded, call, k);
  if (target === undefined) return { kind: 'unavailable' };
  if (call.protocol === 'tcp') return callTcp(target);
  // Every other call in HTTP/2, so that both versions are held to the same. The app at the end is `node:http`,
  // which knows the registered methods only.
  const http2 = call.protocol === 'grpc' || k % 2 === 1 || /[a-z]/.test(call.method);
  const { kind, traceId, headers } = await (http2 ? sendHttp2(target.to, call) : sendHttp1(target.to, call));
  const reason = headers['x-tulle-reason'];
  const spoken = target.entry !== undefined && isHttp(target.entry.protocol);
  return { kind, traceId, spoken, ...(reason === undefined ? {} : { reason }) };
}

/** The spans of both hops have come. */
async function settledSpans(mesh: EnvoyMesh, { traceId = '', kind, spoken = false }: Answer): Promise<readonly Span[]> {
  const spans = (): readonly Span[] => mesh.spans.get(traceId) ?? [];
  if (kind === 'malformed') return spans();
  await until(
    () => {
      const outbound = spans().find((span) => span.kind === 'client');
      if (spoken && !outbound) return false;
      const meshed = outbound !== undefined && textOf(outbound.attributes, 'tulle.destination') !== undefined;
      return (outbound !== undefined && !meshed) || spans().some((span) => span.kind === 'server');
    },
    () => JSON.stringify(spans().map(({ name, kind: is, attributes }) => ({ name, is, attributes }))),
  );
  return spans();
}

/** A connection only closes; why is in the client's log. */
async function callTcp({ to, entry, client }: Dialled): Promise<Answer> {
  const start = client?.envoy.output().length;
  const { text } = await talk(to, entry);
  if (text.startsWith('HTTP/1.1 400')) return { kind: 'malformed' };
  if (client === undefined) return { kind: text === '' ? 'closed' : 'served' };
  const { envoy } = client;
  const findEnd = () => {
    const written = envoy.output().slice(start);
    const lines = readTcpLines(written.slice(0, written.lastIndexOf('\n') + 1));
    return lines.find(({ event, direction }) => event === 'TcpConnectionEnd' && direction === 'outbound');
  };
  await until(() => findEnd() !== undefined);
  const ended = findEnd();
  if (ended === undefined) throw new Error('the log of an Envoy went away');
  const { reason, backend } = ended;
  const kind = toTcpKind(ended, text);
  return {
    kind,
    ...(kind === 'served' && backend !== undefined ? { backend } : {}),
    ...(kind === 'denied' && reason !== undefined ? { reason } : {}),
  };
}
