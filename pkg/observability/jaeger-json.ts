import { formatGoDuration, formatGoTime } from './go-duration.ts';
import type { Span, SpanEvent, Tag, TagType } from './span.ts';
import { textOf } from './span.ts';
import { serviceOf } from './trace-store.ts';

/** The JSON of Jaeger's query API (cmd/query, `GET /api/traces/{id}`), field for field. */
export interface JaegerTrace {
  readonly traceID: string;
  readonly spans: readonly JaegerSpan[];
  readonly processes: Readonly<Record<string, JaegerProcess>>;
  readonly warnings: null;
}

export interface JaegerProcess {
  readonly serviceName: string;
  readonly tags: readonly Tag[];
}

export interface JaegerReference {
  readonly refType: 'CHILD_OF' | 'FOLLOWS_FROM';
  readonly traceID: string;
  readonly spanID: string;
}

export interface JaegerSpan {
  readonly traceID: string;
  readonly spanID: string;
  readonly flags?: number;
  readonly operationName: string;
  readonly references: readonly JaegerReference[];
  /** Microseconds since 1970. */
  readonly startTime: number;
  /** Microseconds. */
  readonly duration: number;
  readonly tags: readonly Tag[];
  readonly logs: readonly { readonly timestamp: number; readonly fields: readonly Tag[] }[];
  readonly processID: string;
  readonly warnings: readonly string[] | null;
}

/** Jaeger drops the high half of a trace id when it is zero. */
export function toJaegerTraceId(traceId: string): string {
  return traceId.startsWith('0000000000000000') ? traceId.slice(16) : traceId;
}

/** A trace as Jaeger answers it, in the order of start times. */
export function toJaegerTrace(spans: readonly Span[]): JaegerTrace {
  const sorted = [...spans].sort((a, b) => (a.startNs < b.startNs ? -1 : a.startNs > b.startNs ? 1 : 0));
  const warnings = clockWarnings(sorted);
  const processes: Record<string, JaegerProcess> = {};
  const processIds = new Map<string, string>();
  const jaegerSpans = sorted.map((span) => {
    const { process, tags } = toProcess(span);
    const content = JSON.stringify(process);
    let processID = processIds.get(content);
    if (processID === undefined) {
      processID = `p${processIds.size + 1}`;
      processIds.set(content, processID);
      processes[processID] = process;
    }
    return toJaegerSpan(span, tags, processID, warnings.get(span) ?? null);
  });
  return { traceID: toJaegerTraceId(spans[0]?.traceId ?? ''), spans: jaegerSpans, processes, warnings: null };
}

function toJaegerSpan(
  span: Span,
  tags: readonly Tag[],
  processID: string,
  warnings: readonly string[] | null,
): JaegerSpan {
  return {
    traceID: toJaegerTraceId(span.traceId),
    spanID: span.spanId,
    operationName: span.name,
    references: toReferences(span),
    startTime: toMicroseconds(span.startNs),
    duration: Math.trunc(durationOf(span) / 1_000),
    tags,
    logs: span.events.map(toLog),
    processID,
    warnings,
  };
}

/** A negative or empty duration is one nanosecond, as Jaeger's collector has it. */
export function durationOf(span: Span): number {
  return Math.max(1, span.durationNs);
}

function toMicroseconds(nanoseconds: bigint): number {
  return Number(nanoseconds / 1_000n);
}

/** Span tags as Jaeger makes them of an OTLP span, sorted by key. */
export function toJaegerTags(span: Span): Tag[] {
  const tags: Tag[] = [...span.attributes];
  const add = (key: string, value: string): void => void tags.push({ key, type: 'string', value });
  if (span.scope.name !== '') add('otel.scope.name', span.scope.name);
  if (span.scope.version !== '') add('otel.scope.version', span.scope.version);
  if (span.kind !== 'unspecified') add('span.kind', span.kind);
  if (span.status !== 'unset') add('otel.status_code', span.status.toUpperCase());
  if (span.status === 'error') tags.push({ key: 'error', type: 'bool', value: true });
  if (span.statusMessage !== '') add('otel.status_description', span.statusMessage);
  if (span.traceState !== '') add('w3c.tracestate', span.traceState);
  return sortTags(tags.map(toDottedIp));
}

const processKeys = /^telemetry\.(sdk\.(language|name|version)|distro\.(name|version))$/;

/** The process of a span; what the SDK says of itself in a span's attributes belongs to the process. */
function toProcess(span: Span): { process: JaegerProcess; tags: Tag[] } {
  const all = toJaegerTags(span);
  const moved = all.filter(({ key }) => processKeys.test(key));
  const process = {
    serviceName: serviceOf(span),
    tags: sortTags([...span.resource.attributes.map(toDottedIp), ...moved]),
  };
  return { process, tags: moved.length === 0 ? all : all.filter(({ key }) => !processKeys.test(key)) };
}

function toReferences({ traceId, parentSpanId, links }: Span): JaegerReference[] {
  const references: JaegerReference[] = [];
  if (parentSpanId !== '') {
    references.push({ refType: 'CHILD_OF', traceID: toJaegerTraceId(traceId), spanID: parentSpanId });
  }
  for (const link of links) {
    const childOf = textOf(link.attributes, 'opentracing.ref_type') === 'child_of';
    const refType = childOf ? 'CHILD_OF' : 'FOLLOWS_FROM';
    const reference = { refType, traceID: toJaegerTraceId(link.traceId), spanID: link.spanId } as const;
    if (parentSpanId !== '' && link.traceId === traceId && link.spanId === parentSpanId) references[0] = reference;
    else references.push(reference);
  }
  // The first parent in the trace itself stands first.
  const own = references.filter(({ traceID }) => traceID === toJaegerTraceId(traceId));
  const first = references.indexOf(own.find(({ refType }) => refType === 'CHILD_OF') ?? own[0] ?? references[0]!);
  if (first > 0) [references[0], references[first]] = [references[first]!, references[0]!];
  return references;
}

function toLog({ name, timeNs, attributes }: SpanEvent): { timestamp: number; fields: Tag[] } {
  const named = name === '' || attributes.some(({ key }) => key === 'event');
  const fields: Tag[] = named ? [...attributes] : [{ key: 'event', type: 'string', value: name }, ...attributes];
  const first = fields.findIndex(({ key, type }) => key === 'event' && type === 'string');
  const event = first < 0 ? [] : fields.splice(first, 1);
  return { timestamp: toMicroseconds(timeNs), fields: [...event, ...sortTags(fields)] };
}

const typeOrder: readonly TagType[] = ['string', 'bool', 'int64', 'float64', 'binary'];

function sortTags(tags: readonly Tag[]): Tag[] {
  return [...tags].sort(
    (a, b) =>
      compare(a.key, b.key) || typeOrder.indexOf(a.type) - typeOrder.indexOf(b.type) || compare(a.value, b.value),
  );
}

function compare<T extends string | number | boolean>(a: T, b: T): number {
  return a < b ? -1 : a > b ? 1 : 0;
}

/** An IPv4 address packed into a number is spelt out. */
function toDottedIp(tag: Tag): Tag {
  if ((tag.key !== 'ip' && tag.key !== 'peer.ipv4') || typeof tag.value !== 'number') return tag;
  const bits = Math.trunc(tag.value) >>> 0;
  const value = [24, 16, 8, 0].map((shift) => (bits >>> shift) & 255).join('.');
  return { key: tag.key, type: 'string', value };
}

/**
 * What Jaeger remarks on times and parents. It moves no span (its own default, `--query.max-clock-skew-adjustment 0`),
 * but says by how much a child stands outside its parent.
 */
function clockWarnings(spans: readonly Span[]): Map<Span, string[]> {
  const warnings = new Map<Span, string[]>();
  const warn = (span: Span, text: string): void => void warnings.set(span, [...(warnings.get(span) ?? []), text]);
  const byId = new Map<string, Span>();
  for (const span of spans) {
    if (span.durationNs < 1) {
      const end = (duration: number): string => formatGoTime(span.startNs + BigInt(duration));
      const change = `Original end timestamp: ${end(span.durationNs)}, adjusted to: ${end(1)}`;
      warn(span, `Negative duration detected, sanitizing end timestamp. ${change}`);
    }
    if (byId.has(span.spanId)) warn(span, 'duplicate span IDs; skipping clock skew adjustment');
    else byId.set(span.spanId, span);
  }
  for (const span of byId.values()) {
    const parentId = parentOf(span);
    if (parentId === '') continue;
    const parent = byId.get(parentId);
    if (parent === undefined) {
      warn(span, `invalid parent span IDs=${parentId}; skipping clock skew adjustment`);
      continue;
    }
    const delta = skewOf(span, parent);
    if (delta !== 0) {
      warn(span, `clock skew adjustment disabled; not applying calculated delta of ${formatGoDuration(delta)}`);
    }
  }
  return warnings;
}

/** The parent as Jaeger sees it: the first reference into the same trace, CHILD_OF before FOLLOWS_FROM. */
export function parentOf(span: Span): string {
  if (span.links.length === 0) return span.parentSpanId;
  const first = toReferences(span)[0];
  return first?.traceID === toJaegerTraceId(span.traceId) ? first.spanID : '';
}

function skewOf(child: Span, parent: Span): number {
  const early = child.startNs < parent.startNs;
  const room = durationOf(parent) - durationOf(child);
  if (room < 0) return early ? Number(parent.startNs - child.startNs) : 0;
  const childEnd = child.startNs + BigInt(durationOf(child));
  const parentEnd = parent.startNs + BigInt(durationOf(parent));
  if (!early && childEnd <= parentEnd) return 0;
  return Number(parent.startNs + BigInt(Math.trunc(room / 2)) - child.startNs);
}
