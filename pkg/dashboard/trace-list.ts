import type { Span } from '../observability/span.ts';
import { serviceOf } from '../observability/trace-store.ts';
import type { StoredTrace, TraceStore } from '../observability/trace-store.ts';
import type { TraceJudge, TraceSummary } from '../observability/trace-judge.ts';

export type TraceFilter = 'all' | 'errors' | 'denied' | 'broken' | 'incomplete';

export interface TraceListQuery {
  readonly filter: TraceFilter;
  /** Words that must all be found: a trace id, a service, a path, `status=503`, … */
  readonly text: string;
  /** `errors`: what went wrong first. `newest`: by time alone. */
  readonly order: 'errors' | 'newest';
  readonly limit: number;
}

/** The answer of `GET /api/summaries`. */
export interface TraceList {
  readonly traces: readonly TraceSummary[];
  /** Of the traces that the text finds. */
  readonly counts: Readonly<Record<TraceFilter, number>>;
}

/** Traces that are looked through at most, newest first. */
const maxSearched = 3_000;

export function listTraces(store: TraceStore, judge: TraceJudge, query: TraceListQuery): TraceList {
  const words = query.text
    .toLowerCase()
    .split(/\s+/)
    .filter((word) => word !== '');
  const found = store
    .traces()
    .slice(0, maxSearched)
    .filter((trace) => words.every((word) => contains(trace, word)))
    .map((trace) => judge.summary(trace));
  const counts = {
    all: found.length,
    errors: 0,
    denied: 0,
    broken: 0,
    incomplete: 0,
  };
  for (const summary of found) {
    for (const filter of ['errors', 'denied', 'broken', 'incomplete'] as const) {
      if (passes(summary, filter)) counts[filter] += 1;
    }
  }
  const rank = query.order === 'errors' ? rankOf : () => 0;
  const traces = found
    .filter((summary) => passes(summary, query.filter))
    .sort((a, b) => rank(a) - rank(b) || b.start - a.start)
    .slice(0, query.limit);
  return { traces, counts };
}

function passes(summary: TraceSummary, filter: TraceFilter): boolean {
  switch (filter) {
    case 'all':
      return true;
    case 'errors':
      return summary.errors > 0;
    case 'denied':
      return summary.denied > 0;
    case 'broken':
      return summary.broken.length > 0;
    case 'incomplete':
      return summary.state === 'incomplete';
  }
}

/** Failures first, then traces that fell apart, then denials, which are policy doing its work, then the rest. */
function rankOf({ errors, broken, denied }: TraceSummary): number {
  return errors > 0 ? 0 : broken.length > 0 ? 1 : denied > 0 ? 2 : 3;
}

function contains({ traceId, spans }: StoredTrace, word: string): boolean {
  return traceId.startsWith(word) || spans.some((span) => spanContains(span, word));
}

function spanContains(span: Span, word: string): boolean {
  const [key, value] = word.split('=');
  if (value !== undefined && value !== '') {
    return span.attributes.some(
      (tag) => tag.key.toLowerCase().endsWith(key ?? '') && toText(tag.value).startsWith(value),
    );
  }
  if (serviceOf(span).toLowerCase().includes(word) || span.name.toLowerCase().includes(word)) return true;
  return span.attributes.some((tag) => tag.type === 'string' && toText(tag.value).includes(word));
}

function toText(value: string | number | boolean): string {
  return String(value).toLowerCase();
}
