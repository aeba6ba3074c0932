import assert from 'node:assert/strict';
import type { JaegerSpan, JaegerTrace } from '../../observability/jaeger-json.ts';
import { toTicks, toWaterfall } from './waterfall-model.ts';

function span(spanID: string, parent: string, startTime: number, duration: number): JaegerSpan {
  const reference = {
    refType: 'CHILD_OF',
    traceID: 't',
    spanID: parent,
  } as const;
  const references = parent === '' ? [] : [reference];
  return {
    traceID: 't',
    spanID,
    operationName: spanID,
    references,
    startTime,
    duration,
    tags: [],
    logs: [],
    processID: 'p1',
    warnings: null,
  };
}

function trace(...spans: JaegerSpan[]): JaegerTrace {
  return {
    traceID: 't',
    spans,
    processes: { p1: { serviceName: 'a', tags: [] } },
    warnings: null,
  };
}

describe('the waterfall', () => {
  it('puts parents before children, and children by their start', () => {
    const { rows, duration } = toWaterfall(
      trace(span('c', 'a', 30, 10), span('b', 'a', 10, 10), span('a', '', 0, 100), span('d', 'b', 12, 2)),
    );

    assert.deepEqual(
      rows.map(({ span: { spanID }, depth }) => `${spanID}${depth}`),
      ['a0', 'b1', 'd2', 'c1'],
    );
    assert.equal(duration, 100);
    assert.equal(rows[3]?.left, 0.3);
  });

  it('shows spans whose parent is not there, and cycles', () => {
    const { rows } = toWaterfall(trace(span('a', 'gone', 0, 1), span('b', 'c', 0, 1), span('c', 'b', 0, 1)));

    assert.equal(rows.length, 3);
  });

  it('has round times on its axis', () => {
    assert.deepEqual(toTicks(23_000, 5), [0, 5_000, 10_000, 15_000, 20_000]);
    assert.deepEqual(toTicks(900, 5), [0, 200, 400, 600, 800]);
  });
});
