import type { JaegerSpan, JaegerTrace } from '../../observability/jaeger-json.ts';
import type { Tag } from '../../observability/span.ts';

export interface WaterfallRow {
  readonly span: JaegerSpan;
  readonly depth: number;
  readonly service: string;
  /** Place of its service among those of the trace: picks the colour. */
  readonly color: number;
  readonly kind: string;
  readonly failed: boolean;
  readonly denied: boolean;
  /** Shares of the whole, 0 to 1. */
  readonly left: number;
  readonly width: number;
}

export interface Waterfall {
  readonly rows: readonly WaterfallRow[];
  /** Microseconds. */
  readonly start: number;
  readonly duration: number;
  readonly services: readonly string[];
}

/** The spans of a trace as a tree on a common axis of time: parents before children, children by their start. */
export function toWaterfall({ spans, processes }: JaegerTrace): Waterfall {
  const start = Math.min(...spans.map(({ startTime }) => startTime));
  const end = Math.max(...spans.map(({ startTime, duration }) => startTime + duration));
  const duration = Math.max(1, end - start);
  const ids = new Set(spans.map(({ spanID }) => spanID));
  const children = new Map<string, JaegerSpan[]>();
  for (const span of [...spans].sort((a, b) => a.startTime - b.startTime)) {
    const parent = parentOf(span);
    const key = parent !== undefined && ids.has(parent) && parent !== span.spanID ? parent : '';
    children.set(key, [...(children.get(key) ?? []), span]);
  }
  const services: string[] = [];
  const rows: WaterfallRow[] = [];
  const shown = new Set<JaegerSpan>();
  const show = (span: JaegerSpan, depth: number): void => {
    if (shown.has(span) || depth > 200) return;
    shown.add(span);
    const service = processes[span.processID]?.serviceName ?? '';
    if (!services.includes(service)) services.push(service);
    rows.push({
      span,
      depth,
      service,
      color: services.indexOf(service),
      kind: tagText(span.tags, 'span.kind'),
      failed: tagText(span.tags, 'error') === 'true',
      denied: tagText(span.tags, 'tulle.verdict') === 'denied',
      left: (span.startTime - start) / duration,
      width: span.duration / duration,
    });
    for (const child of children.get(span.spanID) ?? []) show(child, depth + 1);
  };
  for (const root of children.get('') ?? []) show(root, 0);
  // Spans that are each other's parents have no root.
  for (const span of spans) show(span, 0);
  return { rows, start, duration, services };
}

function parentOf({ references, traceID }: JaegerSpan): string | undefined {
  return references.find((reference) => reference.refType === 'CHILD_OF' && reference.traceID === traceID)?.spanID;
}

function tagText(tags: readonly Tag[], key: string): string {
  const value = tags.find((tag) => tag.key === key)?.value;
  return value === undefined ? '' : String(value);
}

/** Round times for the axis, from 0 to the duration, at most `most` of them. In µs. */
export function toTicks(duration: number, most: number): number[] {
  const step = [1, 2, 5]
    .flatMap((digit) => Array.from({ length: 10 }, (_, power) => digit * 10 ** power))
    .sort((a, b) => a - b)
    .find((candidate) => duration / candidate <= most);
  if (step === undefined) return [0];
  return Array.from({ length: Math.floor(duration / step) + 1 }, (_, index) => index * step);
}
