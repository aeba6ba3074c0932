import assert from 'node:assert/strict';
import { decodeTrace, sampleByTraceId, toHopTrace, toTraceHeaders } from './trace-context.ts';
import type { IncomingTrace } from './trace-context.ts';

const t = '4bf92f3577b34da6a3ce929d0e0e4736';
const t64 = 'a3ce929d0e0e4736';
const s = '00f067aa0ba902b7';
const wide = `0000000000000000${t64}`;

type Lines = Readonly<Record<string, string | readonly string[]>>;
const decode = (headers: Lines): IncomingTrace =>
  decodeTrace((name) => {
    const lines = headers[name];
    return lines === undefined ? [] : typeof lines === 'string' ? [lines] : lines;
  });

const cases: readonly (readonly [string, Lines, IncomingTrace])[] = [
  ['nothing', {}, {}],
  ['W3C, sampled', { traceparent: `00-${t}-${s}-01` }, { traceId: t, spanId: s, sampled: true }],
  ['W3C, not sampled', { traceparent: `00-${t}-${s}-00` }, { traceId: t, spanId: s, sampled: false }],
  ['W3C, other flags', { traceparent: `00-${t}-${s}-03` }, { traceId: t, spanId: s, sampled: true }],
  [
    'W3C with tracestate',
    { traceparent: `00-${t}-${s}-01`, tracestate: ['a=1', 'b=2'] },
    { traceId: t, spanId: s, sampled: true, tracestate: 'a=1,b=2' },
  ],
  ['W3C of a later version', { traceparent: `01-${t}-${s}-01-more` }, { traceId: t, spanId: s, sampled: true }],
  ['W3C of version ff', { traceparent: `ff-${t}-${s}-01` }, {}],
  ['W3C 00 with more behind it', { traceparent: `00-${t}-${s}-01-more` }, {}],
  ['W3C in upper case', { traceparent: `00-${t.toUpperCase()}-${s}-01` }, {}],
  ['W3C with a zero trace id', { traceparent: `00-${'0'.repeat(32)}-${s}-01` }, {}],
  ['W3C with a zero span id', { traceparent: `00-${t}-${'0'.repeat(16)}-01` }, {}],
  ['W3C cut short', { traceparent: `00-${t}-${s}` }, {}],
  ['two traceparents', { traceparent: [`00-${t}-${s}-01`, `00-${t}-${s}-00`] }, {}],
  ['tracestate alone', { tracestate: 'a=1' }, {}],
  [
    'W3C and B3: W3C wins',
    {
      traceparent: `00-${t}-${s}-00`,
      'x-b3-traceid': wide,
      'x-b3-spanid': s,
      'x-b3-sampled': '1',
    },
    { traceId: t, spanId: s, sampled: false },
  ],
  ['a broken W3C beside B3', { traceparent: 'junk', b3: `${t}-${s}-1` }, { traceId: t, spanId: s, sampled: true }],
  ['B3 multi', { 'x-b3-traceid': t, 'x-b3-spanid': s, 'x-b3-sampled': '1' }, { traceId: t, spanId: s, sampled: true }],
  [
    'B3 multi of 64 bits',
    { 'x-b3-traceid': t64, 'x-b3-spanid': s, 'x-b3-sampled': '0' },
    { traceId: wide, spanId: s, sampled: false, halved: true },
  ],
  ['B3 multi in upper case', { 'x-b3-traceid': t.toUpperCase(), 'x-b3-spanid': s }, { traceId: t, spanId: s }],
  ['B3 multi without a decision', { 'x-b3-traceid': t, 'x-b3-spanid': s }, { traceId: t, spanId: s }],
  [
    'B3 multi with words',
    { 'x-b3-traceid': t, 'x-b3-spanid': s, 'x-b3-sampled': 'true' },
    { traceId: t, spanId: s, sampled: true },
  ],
  [
    'B3 multi, debug',
    { 'x-b3-traceid': t, 'x-b3-spanid': s, 'x-b3-flags': '1' },
    { traceId: t, spanId: s, sampled: true, debug: true },
  ],
  ['B3 multi, deny alone', { 'x-b3-sampled': '0' }, { sampled: false }],
  ['B3 multi, malformed', { 'x-b3-traceid': 'xyz', 'x-b3-spanid': s }, {}],
  ['B3 multi without a span', { 'x-b3-traceid': t }, {}],
  [
    'B3 multi without leading zeros',
    { 'x-b3-traceid': 'abc', 'x-b3-spanid': 'd' },
    { traceId: 'abc'.padStart(32, '0'), spanId: 'd'.padStart(16, '0'), halved: true },
  ],
  ['B3 multi, too long', { 'x-b3-traceid': `${t}0`, 'x-b3-spanid': s }, {}],
  ['Jaeger', { 'uber-trace-id': `${t}:${s}:0:1` }, { traceId: t, spanId: s, sampled: true }],
  [
    'Jaeger, escaped and short',
    { 'uber-trace-id': 'abc%3Ad%3A0%3A0' },
    { traceId: 'abc'.padStart(32, '0'), spanId: 'd'.padStart(16, '0'), sampled: false },
  ],
  ['Jaeger, debug', { 'uber-trace-id': `${t}:${s}:0:3` }, { traceId: t, spanId: s, sampled: true, debug: true }],
  ['Jaeger, malformed', { 'uber-trace-id': `${t}:${s}:1` }, {}],
  [
    'Jaeger beside W3C: W3C wins',
    { traceparent: `00-${t}-${s}-00`, 'uber-trace-id': 'abc:d:0:1' },
    { traceId: t, spanId: s, sampled: false },
  ],
  ['B3 single', { b3: `${t}-${s}-1` }, { traceId: t, spanId: s, sampled: true }],
  ['B3 single with parent', { b3: `${t}-${s}-0-05e3ac9a4f6e3b90` }, { traceId: t, spanId: s, sampled: false }],
  ['B3 single of 64 bits', { b3: `${t64}-${s}` }, { traceId: wide, spanId: s, halved: true }],
  ['B3 single, debug', { b3: `${t}-${s}-d` }, { traceId: t, spanId: s, sampled: true, debug: true }],
  ['B3 single, deny alone', { b3: '0' }, { sampled: false }],
  ['B3 single, accept alone', { b3: '1' }, { sampled: true }],
  ['B3 single, malformed', { b3: `${t}-${s}-9` }, {}],
  ['B3 single, too long', { b3: `${t}-${s}-1-${s}-${s}` }, {}],
];

describe('trace context', () => {
  for (const [name, headers, expected] of cases) {
    it(`reads ${name}`, () => assert.deepEqual(decode(headers), expected));
  }

  const ids = (bytes: number): string => 'ab'.repeat(bytes);

  it('joins what came, and passes it on as W3C and B3', () => {
    const hop = toHopTrace({ traceId: t, spanId: s, sampled: true, tracestate: 'a=1' }, 0, ids);
    assert.deepEqual(toTraceHeaders(hop), [
      'traceparent',
      `00-${t}-abababababababab-01`,
      'tracestate',
      'a=1',
      'x-b3-traceid',
      t,
      'x-b3-spanid',
      'abababababababab',
      'x-b3-parentspanid',
      s,
      'x-b3-sampled',
      '1',
      'uber-trace-id',
      `${t}:abababababababab:${s}:1`,
    ]);
  });

  it('passes debug on as a flag', () => {
    const headers = toTraceHeaders(toHopTrace({ traceId: t, spanId: s, sampled: true, debug: true }, 0, ids));
    assert.deepEqual(headers.slice(-4), ['x-b3-flags', '1', 'uber-trace-id', `${t}:abababababababab:${s}:3`]);
  });

  it('keeps the parent of a trace that is not sampled', () => {
    assert.equal(toHopTrace({ traceId: t, spanId: s, sampled: false }, 1, ids).spanId, s);
  });

  it('begins a trace that is whole or absent', () => {
    assert.equal(toHopTrace({}, 1, ids).sampled, true);
    assert.equal(toHopTrace({}, 0, ids).sampled, false);
    assert.equal(toHopTrace({ sampled: false }, 1, ids).sampled, false);
  });

  it('is whole or absent behind an app that passes on the two ids of B3 alone', () => {
    for (const sampled of [true, false]) {
      const headers = toTraceHeaders(toHopTrace({ traceId: t, spanId: s, sampled }, 0.5, ids));
      const valueOf = (name: string): string => headers[headers.indexOf(name) + 1] ?? '';
      const back = decode({ 'x-b3-traceid': valueOf('x-b3-traceid'), 'x-b3-spanid': valueOf('x-b3-spanid') });
      const again = toHopTrace(back, 0.5, ids);
      assert.equal(again.sampled, sampled);
      if (sampled) assert.equal(again.traceId, t);
    }
  });

  it('samples by the low 8 bytes of the id, whatever the high ones are', () => {
    const low = (hex: string): string => `ffffffffffffffff${hex}`;
    assert.equal(sampleByTraceId(low('7fffffffffffffff'), 0.5), true);
    assert.equal(sampleByTraceId(low('8000000000000000'), 0.5), false);
    assert.equal(sampleByTraceId(low('0000000000000000'), 0), false);
    assert.equal(sampleByTraceId(low('ffffffffffffffff'), 1), true);
    assert.equal(sampleByTraceId(low('028f5c28f5c28f5b'), 0.01), true);
    assert.equal(sampleByTraceId(low('028f5c28f5c29000'), 0.01), false);
  });
});
