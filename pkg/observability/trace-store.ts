import { createSpanSharing } from './shared-spans.ts';
import type { Span, SpanKind } from './span.ts';
import { sizeOf } from './span.ts';

export interface TraceStoreOptions {
  /** Bounds of what is kept; the oldest traces go first. */
  readonly maxSpans?: number;
  readonly maxBytes?: number;
  /** A trace takes no more than this; what comes beyond is dropped and counted. */
  readonly maxSpansPerTrace?: number;
  /** Milliseconds since 1970. */
  readonly now: () => number;
}

/** All spans of one trace id that are kept. */
export interface StoredTrace {
  readonly traceId: string;
  /** In the order of arrival. */
  readonly spans: readonly Span[];
  /** When the newest span came, milliseconds since 1970: a trace that is still growing is not judged. */
  readonly changedAt: number;
  readonly bytes: number;
}

export interface TraceStoreStats {
  readonly traces: number;
  readonly spans: number;
  readonly bytes: number;
  readonly evictedTraces: number;
  readonly evictedSpans: number;
  /** Came again: an export that was repeated. */
  readonly duplicateSpans: number;
  /** Came after their trace had been evicted. */
  readonly lateSpans: number;
  /** Beyond the bound of one trace. */
  readonly droppedSpans: number;
}

/** Spans in bounded memory, by trace and by service. Nothing here waits, and nothing grows beyond its bounds. */
export interface TraceStore {
  add(spans: readonly Span[]): void;
  /** By its 32 hex digits. */
  trace(traceId: string): StoredTrace | undefined;
  /** All, or those in which a service has a span; newest first. */
  traces(service?: string): StoredTrace[];
  services(): string[];
  /** Names and kinds of the spans of a service. */
  operations(service: string): { readonly name: string; readonly kind: SpanKind }[];
  stats(): TraceStoreStats;
  /** Calls back with the spans that were taken, once each, until the returned function is called. */
  subscribe(listener: (spans: readonly Span[]) => void): () => void;
}

interface MutableTrace {
  readonly traceId: string;
  readonly spans: Span[];
  /** Of a trace with many spans; of others there is none, for it would be larger than they are. */
  spanIds: Set<string> | undefined;
  changedAt: number;
  bytes: number;
}

interface ServiceIndex {
  /** Spans per `kind name`. */
  readonly operations: Map<string, { readonly name: string; readonly kind: SpanKind; count: number }>;
  /** Spans per trace, oldest trace first. */
  readonly traces: Map<MutableTrace, number>;
}

/** As many spans are looked through for a duplicate; more have an index. */
const searched = 32;

/** Ids of evicted traces that are remembered, so that a late span doesn't look like a trace of its own. */
const rememberedEvictions = 20_000;

export function createTraceStore(options: TraceStoreOptions): TraceStore {
  const { maxSpans = 60_000, maxBytes = 96 * 1024 * 1024, maxSpansPerTrace = 5_000, now } = options;
  const traces = new Map<string, MutableTrace>();
  const services = new Map<string, ServiceIndex>();
  const evicted = new Set<string>();
  const listeners = new Set<(spans: readonly Span[]) => void>();
  const stats = { evictedTraces: 0, evictedSpans: 0, duplicateSpans: 0, lateSpans: 0, droppedSpans: 0 };
  const share = createSpanSharing();
  let spanCount = 0;
  let bytes = 0;

  /** The span as it is kept; undefined when it is not. */
  function take(span: Span): Span | undefined {
    if (evicted.has(span.traceId)) {
      stats.lateSpans += 1;
      return undefined;
    }
    let trace = traces.get(span.traceId);
    if (trace === undefined) {
      trace = { traceId: span.traceId, spans: [], spanIds: undefined, changedAt: 0, bytes: 0 };
      traces.set(span.traceId, trace);
    } else if (trace.spanIds?.has(span.spanId) !== false && trace.spans.some((known) => isSame(known, span))) {
      stats.duplicateSpans += 1;
      return undefined;
    } else if (trace.spans.length >= maxSpansPerTrace) {
      stats.droppedSpans += 1;
      return undefined;
    }
    const size = sizeOf(span);
    const kept = share(span);
    trace.spans.push(kept);
    if (trace.spans.length > searched) trace.spanIds ??= new Set(trace.spans.map(({ spanId }) => spanId));
    trace.spanIds?.add(span.spanId);
    trace.changedAt = now();
    trace.bytes += size;
    bytes += size;
    spanCount += 1;
    index(trace, kept);
    return kept;
  }

  function index(trace: MutableTrace, span: Span): void {
    const name = serviceOf(span);
    let entry = services.get(name);
    if (entry === undefined) services.set(name, (entry = { operations: new Map(), traces: new Map() }));
    const key = `${span.kind} ${span.name}`;
    const operation = entry.operations.get(key);
    if (operation === undefined) entry.operations.set(key, { name: span.name, kind: span.kind, count: 1 });
    else operation.count += 1;
    entry.traces.set(trace, (entry.traces.get(trace) ?? 0) + 1);
  }

  function evict(trace: MutableTrace): void {
    traces.delete(trace.traceId);
    bytes -= trace.bytes;
    spanCount -= trace.spans.length;
    stats.evictedTraces += 1;
    stats.evictedSpans += trace.spans.length;
    evicted.add(trace.traceId);
    if (evicted.size > rememberedEvictions)
      for (const oldest of evicted) {
        evicted.delete(oldest);
        break;
      }
    for (const span of trace.spans) {
      const entry = services.get(serviceOf(span));
      if (entry === undefined) continue;
      entry.traces.delete(trace);
      const key = `${span.kind} ${span.name}`;
      const operation = entry.operations.get(key);
      if (operation !== undefined && (operation.count -= 1) === 0) entry.operations.delete(key);
      if (entry.traces.size === 0) services.delete(serviceOf(span));
    }
  }

  return {
    add(spans) {
      const taken = spans.flatMap((span) => take(span) ?? []);
      for (const trace of traces.values()) {
        // The newest trace stays, however large: it is bounded by maxSpansPerTrace.
        if ((spanCount <= maxSpans && bytes <= maxBytes) || traces.size === 1) break;
        evict(trace);
      }
      if (taken.length === 0) return;
      for (const listener of listeners) listener(taken);
    },
    trace: (traceId) => traces.get(traceId),
    traces: (service) =>
      (service === undefined ? [...traces.values()] : [...(services.get(service)?.traces.keys() ?? [])]).reverse(),
    services: () => [...services.keys()].sort(),
    operations: (service) =>
      [...(services.get(service)?.operations.values() ?? [])].map(({ name, kind }) => ({ name, kind })),
    stats: () => ({ ...stats, traces: traces.size, spans: spanCount, bytes }),
    subscribe(listener) {
      listeners.add(listener);
      return () => void listeners.delete(listener);
    },
  };
}

/** The service of a span, as Jaeger names it when the sender gave none. */
export function serviceOf(span: Span): string {
  const { service } = span.resource;
  return service === '' ? 'empty-service-name' : (service ?? 'missing-service-name');
}

function isSame(a: Span, b: Span): boolean {
  return (
    a.spanId === b.spanId &&
    a.kind === b.kind &&
    a.startNs === b.startNs &&
    a.durationNs === b.durationNs &&
    a.name === b.name &&
    a.resource.service === b.resource.service
  );
}
