import assert from 'node:assert/strict';
import { describe, it } from 'mocha';
import type { Call } from '../observability/call.ts';
import type { JaegerSpan, JaegerTrace } from '../observability/jaeger-json.ts';
import { checkDenied, checkProbes, checkServed, checkSplit, checkTraces, isPurchase } from './demo-rules.ts';

function purchase(changes: Partial<Call> = {}): Call {
  return {
    time: 0,
    durationMs: 1,
    traceId: '1'.padStart(32, '0'),
    spanId: 'a',
    observer: 'client',
    source: 'bookbuyer/bookbuyer',
    service: 'bookstore/bookstore:14001',
    protocol: 'http',
    destination: 'bookstore/bookstore-v1',
    split: 'bookstore/bookstore-split',
    backend: 'bookstore-v1',
    serverPod: '',
    method: 'GET',
    path: '/buy-a-book/new',
    authority: '',
    headers: {},
    status: 200,
    verdict: 'allowed',
    reason: '',
    rule: '',
    mode: 'enforce',
    error: false,
    ...changes,
  };
}

const times = (n: number, call: Call): Call[] => Array.from({ length: n }, () => call);

function span(id: string, parent: string, process: string, kind: string, name: string): JaegerSpan {
  return {
    traceID: '1',
    spanID: id,
    operationName: name,
    references: parent === '' ? [] : [{ refType: 'CHILD_OF', traceID: '1', spanID: parent }],
    startTime: 0,
    duration: 1,
    tags: [{ key: 'span.kind', type: 'string', value: kind }],
    logs: [],
    processID: process,
    warnings: null,
  };
}

const whole: JaegerTrace = {
  traceID: '1',
  processes: {
    p1: { serviceName: 'bookbuyer', tags: [] },
    p2: { serviceName: 'bookstore-v1', tags: [] },
    p3: { serviceName: 'bookwarehouse', tags: [] },
  },
  spans: [
    span('a', '', 'p1', 'client', 'GET bookstore.bookstore:14001'),
    span('b', 'a', 'p2', 'server', 'GET bookstore.bookstore:14001'),
    span('c', 'b', 'p2', 'client', 'POST bookwarehouse.bookwarehouse:14001'),
    span('d', 'c', 'p3', 'server', 'POST bookwarehouse.bookwarehouse:14001'),
  ],
  warnings: null,
};

describe('the rules of the demo', () => {
  it('bookbuyer is served when every purchase is, and there is one', () => {
    assert.equal(checkServed([purchase()]).ok, true);
    assert.equal(checkServed([]).ok, false);
    assert.equal(checkServed([purchase(), purchase({ status: 503 })]).ok, false);
    assert.equal(isPurchase(purchase({ observer: 'server' })), false);
  });

  it('bookthief must get 403 each time', () => {
    const denied = purchase({ source: 'bookthief/bookthief', status: 403, verdict: 'denied' });
    assert.equal(checkDenied([denied]).ok, true);
    assert.equal(checkDenied([purchase()]).ok, false);
    assert.equal(checkDenied([denied, { ...denied, status: 503 }]).ok, false);
  });

  it('shares are near what is wanted, by enough purchases to say so', () => {
    const wanted = [
      { backend: 'bookstore-v1', share: 0.9 },
      { backend: 'bookstore-v2', share: 0.1 },
    ];
    const splits = [{ split: 'bookstore/bookstore-split', wanted }];
    const shares = (v1: number, v2: number): boolean =>
      checkSplit([...times(v1, purchase()), ...times(v2, purchase({ backend: 'bookstore-v2' }))], splits).ok;
    assert.equal(shares(180, 20), true);
    assert.equal(shares(100, 100), false);
    assert.equal(shares(9, 1), false);
    assert.equal(checkSplit(times(200, purchase()), []).ok, false);
  });

  it('a destination must have answered its own and refused the others', () => {
    const calls = [
      purchase({ source: 'bookstore/bookstore-v1', service: 'bookwarehouse/bookwarehouse:14001' }),
      purchase({ source: 'bookwarehouse/bookwarehouse', service: 'bookwarehouse/bookdb:3306' }),
    ];
    const probe = (kind: 'http' | 'tcp', allowed: boolean, code: number) => ({
      as: 'x/y',
      kind,
      allowed,
      code,
      output: '',
    });
    const good = (['http', 'tcp'] as const).flatMap((kind) => [
      probe(kind, true, 0),
      probe(kind, false, 3),
      probe(kind, false, 3),
    ]);
    assert.deepEqual(
      checkProbes(calls, good).map(({ ok }) => ok),
      [true, true],
    );
    assert.deepEqual(
      checkProbes(calls, []).map(({ ok }) => ok),
      [false, false],
    );
    const leaky = good.map((entry, i) => (i === 4 ? { ...entry, code: 0 } : entry));
    assert.deepEqual(
      checkProbes(calls, leaky).map(({ ok }) => ok),
      [true, false],
    );
  });

  it('a trace is whole by its parents, from the shopper to the warehouse', () => {
    assert.deepEqual(checkTraces([purchase()], [whole]).detail, '1 of 1 traces are whole');
    const [root, ...rest] = whole.spans;
    assert.ok(root);
    const orphaned = rest.map((entry) => (entry.spanID === 'c' ? { ...entry, references: [] } : entry));
    for (const spans of [[root], [root, ...orphaned], rest])
      assert.equal(checkTraces([purchase()], [{ ...whole, spans }]).ok, false);
    assert.equal(checkTraces([purchase()], []).ok, false);
  });
});
