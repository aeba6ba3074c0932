import { toCall } from './call.ts';
import type { Span } from './span.ts';
import { podOf, startMs, textOf } from './span.ts';
import type { StoredTrace, TraceStore } from './trace-store.ts';
import { serviceOf } from './trace-store.ts';

/** An app that made a call on behalf of a request and did not pass the trace headers on, so that the trace fell apart. */
export interface BrokenLink {
  /** The app that dropped the headers, and its pod, `namespace/pod`. */
  readonly app: string;
  readonly pod: string;
  /** Whom it called: `namespace/name:port`. */
  readonly service: string;
  /** The trace of the request that it served, and the one that began anew. */
  readonly from: string;
  readonly to: string;
  /** It served nothing else at that moment: no doubt which request the call belongs to. */
  readonly certain: boolean;
}

/** `arriving`: spans came within the last two seconds. */
export type TraceState = 'arriving' | 'complete' | 'incomplete';

/** A trace in a list. */
export interface TraceSummary {
  readonly traceId: string;
  /** Of its first root. */
  readonly name: string;
  readonly service: string;
  /** Milliseconds since 1970. */
  readonly start: number;
  readonly durationMs: number;
  readonly spans: number;
  /** Of its first request; empty when there is none, or for TCP. */
  readonly method: string;
  readonly path: string;
  /** Whom the first request was for: `namespace/name:port`. */
  readonly target: string;
  /** In the order of their first spans. */
  readonly services: readonly string[];
  readonly errors: number;
  readonly denied: number;
  readonly state: TraceState;
  /** Why it is not complete. */
  readonly missing: string;
  readonly broken: readonly BrokenLink[];
}

export interface TraceJudge {
  summary(trace: StoredTrace): TraceSummary;
}

const arrivingMs = 2_000;
/** Spans per pod that are looked at to find what belongs together. */
const rememberedPerPod = 500;
const maxPods = 2_000;

interface PodSpans {
  /** Requests that it served. */
  readonly served: Span[];
  /** Calls of it that began a trace. */
  readonly rootCalls: Span[];
}

/** Says of each trace whether it is whole, and if not, who broke it. Summaries are computed once and kept with their trace. */
export function createTraceJudge(store: TraceStore, now: () => number): TraceJudge {
  const pods = new Map<string, PodSpans>();
  const summaries = new WeakMap<StoredTrace, { readonly changedAt: number; readonly summary: TraceSummary }>();

  store.subscribe((spans) => {
    for (const span of spans) remember(span);
  });

  function remember(span: Span): void {
    const direction = textOf(span.attributes, 'tulle.direction');
    const pod = podOf(span.resource);
    if (pod === undefined || (direction !== 'inbound' && !isRootCall(span))) return;
    let entry = pods.get(pod);
    if (entry === undefined) pods.set(pod, (entry = { served: [], rootCalls: [] }));
    for (const oldest of pods.keys()) {
      if (pods.size <= maxPods) break;
      pods.delete(oldest);
    }
    const list = direction === 'inbound' ? entry.served : entry.rootCalls;
    list.push(span);
    if (list.length > rememberedPerPod) list.splice(0, rememberedPerPod / 2);
    // A span can tell about a trace that was judged already.
    const others = direction === 'inbound' ? entry.rootCalls : entry.served;
    for (const other of others) if (during(other, span) || during(span, other)) forget(other.traceId);
  }

  function forget(traceId: string): void {
    const trace = store.trace(traceId);
    if (trace !== undefined) summaries.delete(trace);
  }

  /** Requests that a pod was serving when it made a call that began a trace, and for which it made no other call. */
  function servedDuring(call: Span, { served }: PodSpans): Span[] {
    return served.filter((span) => during(call, span) && span.traceId !== call.traceId && !hasCall(span));
  }

  function hasCall(served: Span): boolean {
    const pod = podOf(served.resource);
    const spans = store.trace(served.traceId)?.spans ?? [];
    return spans.some((span) => span.kind === 'client' && podOf(span.resource) === pod && isUnder(span, served, spans));
  }

  /** A program that calls on its own account does so also when it serves nothing: that is no broken trace. */
  function callsByItself(call: Span, { served, rootCalls }: PodSpans): boolean {
    const service = textOf(call.attributes, 'tulle.service');
    const alike = rootCalls.filter(({ attributes }) => textOf(attributes, 'tulle.service') === service);
    const alone = alike.filter((other) => !served.some((span) => during(other, span)));
    return alone.length > alike.length / 3;
  }

  function brokenBy(call: Span): BrokenLink[] {
    const pod = podOf(call.resource) ?? '';
    const entry = pods.get(pod);
    if (entry === undefined || callsByItself(call, entry)) return [];
    const candidates = servedDuring(call, entry);
    const [nearest] = candidates.sort((a, b) => Number(b.startNs - a.startNs));
    if (nearest === undefined) return [];
    const service = textOf(call.attributes, 'tulle.service') ?? '';
    const certain = candidates.length === 1;
    return [{ app: serviceOf(call), pod, service, from: nearest.traceId, to: call.traceId, certain }];
  }

  function findBroken({ spans }: StoredTrace): BrokenLink[] {
    const links = new Map<Span, BrokenLink>();
    for (const span of spans) {
      if (isRootCall(span)) for (const link of brokenBy(span)) links.set(span, link);
      if (textOf(span.attributes, 'tulle.direction') !== 'inbound') continue;
      const calls = pods.get(podOf(span.resource) ?? '')?.rootCalls.filter((call) => during(call, span)) ?? [];
      for (const call of calls) {
        for (const link of brokenBy(call)) if (link.from === span.traceId) links.set(call, link);
      }
    }
    return [...links.values()];
  }

  return {
    summary(trace) {
      const kept = summaries.get(trace);
      if (kept?.changedAt === trace.changedAt && kept.summary.state !== 'arriving') return kept.summary;
      const summary = summarise(trace, findBroken(trace), now() - trace.changedAt < arrivingMs);
      summaries.set(trace, { changedAt: trace.changedAt, summary });
      return summary;
    },
  };
}

function summarise(trace: StoredTrace, broken: readonly BrokenLink[], arriving: boolean): TraceSummary {
  const spans = [...trace.spans].sort((a, b) => Number(a.startNs - b.startNs));
  const ids = new Set(spans.map(({ spanId }) => spanId));
  const root = spans.find(({ parentSpanId }) => parentSpanId === '') ?? spans[0];
  const start = spans[0]?.startNs ?? 0n;
  const end = spans.reduce((latest, span) => {
    const own = span.startNs + BigInt(Math.max(0, span.durationNs));
    return own > latest ? own : latest;
  }, start);
  const calls = spans.map(toCall).filter((call) => call !== undefined);
  const missing = findMissing(spans, ids, broken);
  return {
    traceId: trace.traceId,
    name: root?.name ?? '',
    service: root === undefined ? '' : serviceOf(root),
    start: root === undefined ? 0 : startMs(spans[0] ?? root),
    durationMs: Number(end - start) / 1_000_000,
    spans: spans.length,
    method: calls[0]?.method ?? '',
    path: calls[0]?.path ?? '',
    target: calls[0]?.service ?? '',
    services: [...new Set(spans.map(serviceOf))],
    errors: spans.filter((span) => span.status === 'error' && textOf(span.attributes, 'tulle.verdict') !== 'denied')
      .length,
    denied: calls.filter(({ verdict, observer }) => verdict === 'denied' && observer === 'client').length,
    state: arriving ? 'arriving' : missing === '' ? 'complete' : 'incomplete',
    missing,
    broken,
  };
}

function findMissing(spans: readonly Span[], ids: ReadonlySet<string>, broken: readonly BrokenLink[]): string {
  const orphan = spans.find(({ parentSpanId }) => parentSpanId !== '' && !ids.has(parentSpanId));
  if (orphan !== undefined) return `the parent of ${serviceOf(orphan)} "${orphan.name}" was not reported`;
  const roots = spans.filter(({ parentSpanId }) => parentSpanId === '');
  if (roots.length > 1) return `${roots.length} roots in one trace`;
  const unanswered = spans.find((span) => expectsServer(span) && !spans.some((child) => isServed(child, span)));
  if (unanswered !== undefined) {
    return `the sidecar of ${textOf(unanswered.attributes, 'tulle.pod') ?? 'the server'} reported no span for "${unanswered.name}"`;
  }
  const [link] = broken;
  return link === undefined ? '' : `${link.app} did not pass the trace headers on to ${link.service}`;
}

/** A call over HTTP that reached a sidecar, which must have reported it too. TCP carries no ids. */
function expectsServer(span: Span): boolean {
  const call = toCall(span);
  if (call?.observer !== 'client' || call.protocol === 'tcp' || call.serverPod === '') return false;
  return call.verdict !== 'denied' && call.status !== undefined && call.status !== 503;
}

function isServed(child: Span, parent: Span): boolean {
  return child.parentSpanId === parent.spanId && child.kind === 'server';
}

function isRootCall(span: Span): boolean {
  return (
    span.parentSpanId === '' &&
    textOf(span.attributes, 'tulle.direction') === 'outbound' &&
    // A TCP connection has no headers that an app could pass on.
    textOf(span.attributes, 'http.request.method') !== undefined
  );
}

/** The call began while the request was being served. */
function during(call: Span, served: Span): boolean {
  return call.startNs >= served.startNs && call.startNs <= served.startNs + BigInt(Math.max(0, served.durationNs));
}

function isUnder(span: Span, ancestor: Span, spans: readonly Span[]): boolean {
  let parentId = span.parentSpanId;
  for (let depth = 0; parentId !== '' && depth < 64; depth += 1) {
    if (parentId === ancestor.spanId) return true;
    parentId = spans.find(({ spanId }) => spanId === parentId)?.parentSpanId ?? '';
  }
  return false;
}
