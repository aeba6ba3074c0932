import assert from 'node:assert/strict';
import { makeSpan } from './span.fixture.ts';
import type { TraceStoreOptions } from './trace-store.ts';
import { createTraceStore } from './trace-store.ts';

const store = (options: Partial<TraceStoreOptions> = {}): ReturnType<typeof createTraceStore> =>
  createTraceStore({ now: () => 0, ...options });

describe('the trace store', () => {
  it('gathers the spans of a trace, in whatever order and from whoever they come', () => {
    const traces = store();
    const child = makeSpan({ trace: 1, span: 2, parent: 1, service: 'b' });
    const root = makeSpan({ trace: 1, span: 1, service: 'a' });

    traces.add([child]);
    traces.add([root]);

    assert.deepEqual(traces.trace(root.traceId)?.spans, [child, root]);
    assert.deepEqual(traces.services(), ['a', 'b']);
    assert.equal(traces.traces('a').length, 1);
  });

  it('takes a repeated span once', () => {
    const traces = store();
    const seen: number[] = [];
    traces.subscribe((spans) => seen.push(spans.length));

    traces.add([makeSpan({ trace: 1, span: 1 })]);
    traces.add([makeSpan({ trace: 1, span: 1 })]);

    assert.equal(traces.stats().spans, 1);
    assert.equal(traces.stats().duplicateSpans, 1);
    assert.deepEqual(seen, [1]);
  });

  it('evicts the oldest traces beyond its bound of spans, and drops them from the indexes', () => {
    const traces = store({ maxSpans: 3 });
    for (const trace of [1, 2, 3, 4]) traces.add([makeSpan({ trace, span: 1, service: `s${trace}` })]);

    assert.deepEqual(traces.services(), ['s2', 's3', 's4']);
    assert.deepEqual(traces.operations('s1'), []);
    const { evictedTraces, evictedSpans, spans } = traces.stats();
    assert.deepEqual({ evictedTraces, evictedSpans, spans }, { evictedTraces: 1, evictedSpans: 1, spans: 3 });
  });

  it('keeps within its bound of bytes', () => {
    const traces = store({ maxBytes: 20_000 });
    for (let trace = 1; trace <= 50; trace += 1) {
      traces.add([makeSpan({ trace, span: 1, attributes: { note: 'x'.repeat(1_000) } })]);
    }

    assert.ok(traces.stats().bytes <= 20_000);
    assert.ok(traces.stats().traces > 10);
  });

  it('counts a span that comes after its trace was evicted, and makes no trace of it', () => {
    const traces = store({ maxSpans: 1 });
    traces.add([makeSpan({ trace: 1, span: 1 })]);
    traces.add([makeSpan({ trace: 2, span: 1 })]);
    traces.add([makeSpan({ trace: 1, span: 2 })]);

    assert.equal(traces.stats().lateSpans, 1);
    assert.equal(traces.stats().traces, 1);
  });

  it('bounds one trace', () => {
    const traces = store({ maxSpansPerTrace: 2 });
    for (const span of [1, 2, 3]) traces.add([makeSpan({ trace: 1, span })]);

    assert.equal(traces.stats().spans, 2);
    assert.equal(traces.stats().droppedSpans, 1);
  });

  it('lists traces newest first', () => {
    const traces = store();
    for (const trace of [1, 2]) traces.add([makeSpan({ trace, span: 1 })]);

    assert.deepEqual(
      traces.traces().map(({ spans }) => spans[0]?.traceId.at(-1)),
      ['2', '1'],
    );
  });
});
