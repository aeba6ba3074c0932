import type { OtlpAttribute, OtlpExport, OtlpSpan } from './export.ts';
import { attribute, newSpanId, newTraceId } from './export.ts';

const start = BigInt(Date.now() - 60_000) * 1_000_000n;

/** A time `ms` after the start of the data, with nanoseconds that don't divide by 1,000. */
function at(ms: number): string {
  return (start + BigInt(Math.round(ms * 1_000_000)) + 123n).toString();
}

function resource(service: string | undefined, ...attributes: OtlpAttribute[]): { attributes: OtlpAttribute[] } {
  return { attributes: [...(service === undefined ? [] : [attribute('service.name', service)]), ...attributes] };
}

function oneSpan(service: string, span: Partial<OtlpSpan> & { traceId: string }): OtlpExport {
  const full = { spanId: newSpanId(), name: 'one', startTimeUnixNano: at(0), endTimeUnixNano: at(5), ...span };
  return { resourceSpans: [{ resource: resource(service), scopeSpans: [{ spans: [full] }] }] };
}

export const ids = {
  purchase: newTraceId(),
  types: newTraceId(),
  short: `0000000000000000${newSpanId()}`,
  broken: newTraceId(),
  skewed: newTraceId(),
  links: newTraceId(),
  twice: newTraceId(),
  odd: newTraceId(),
  nameless: newTraceId(),
  unnamed: newTraceId(),
  last: newTraceId(),
};

const [buyer, client, server, app] = [newSpanId(), newSpanId(), newSpanId(), newSpanId()];

/** bookbuyer → its sidecar → bookstore's sidecar → bookstore: two resources, two scopes. */
const purchase: OtlpExport = {
  resourceSpans: [
    {
      resource: resource(
        'bookbuyer',
        attribute('service.namespace', 'bookbuyer'),
        attribute('k8s.pod.name', 'buyer-0'),
      ),
      scopeSpans: [
        {
          scope: { name: 'app' },
          spans: [
            {
              traceId: ids.purchase,
              spanId: buyer,
              name: 'buy',
              kind: 1,
              startTimeUnixNano: at(0),
              endTimeUnixNano: at(40),
              attributes: [attribute('telemetry.sdk.name', 'opentelemetry')],
            },
          ],
        },
        {
          scope: { name: 'tulle', version: '0.1.0' },
          spans: [
            {
              traceId: ids.purchase,
              spanId: client,
              parentSpanId: buyer,
              traceState: 'a=1,b=2',
              name: 'GET bookstore.bookstore:14001',
              kind: 3,
              startTimeUnixNano: at(1),
              endTimeUnixNano: at(38.5),
              attributes: [
                attribute('http.request.method', 'GET'),
                attribute('http.response.status_code', 200),
                attribute('tulle.split', 'bookstore/bookstore-split'),
              ],
              events: [{ timeUnixNano: at(2), name: 'retry', attributes: [attribute('attempt', 2)] }],
            },
          ],
        },
      ],
    },
    {
      resource: resource('bookstore-v1', attribute('service.namespace', 'bookstore')),
      scopeSpans: [
        {
          spans: [
            {
              traceId: ids.purchase,
              spanId: server,
              parentSpanId: client,
              name: 'GET bookstore.bookstore:14001',
              kind: 2,
              startTimeUnixNano: at(2),
              endTimeUnixNano: at(37),
              status: { code: 2, message: 'denied' },
            },
            {
              traceId: ids.purchase,
              spanId: app,
              parentSpanId: server,
              name: 'handler',
              startTimeUnixNano: at(3),
              endTimeUnixNano: at(36),
              status: { code: 1 },
              events: [
                {
                  timeUnixNano: at(4),
                  name: 'exception',
                  attributes: [attribute('z', 'last'), attribute('event', 'own'), attribute('a', 1)],
                },
              ],
            },
          ],
        },
      ],
    },
  ],
};

const everyType: OtlpAttribute[] = [
  attribute('text', 'a <b> & "c"'),
  attribute('yes', true),
  attribute('int', -7),
  attribute('large', 9_007_199_254_740_993n),
  attribute('double', 0.1),
  { key: 'bytes', value: { bytesValue: Buffer.from([0, 1, 254]).toString('base64') } },
  {
    key: 'list',
    value: { arrayValue: { values: [{ stringValue: '<x>' }, { intValue: '3' }, { boolValue: false }] } },
  },
  {
    key: 'map',
    value: { kvlistValue: { values: [attribute('b', 1.5), attribute('a', 'é&')] } },
  },
  attribute('ip', 134_744_072),
  attribute('text', 'again'),
];

export const everything: readonly OtlpExport[] = [
  purchase,
  oneSpan('types', { traceId: ids.types, attributes: everyType, kind: 4, endTimeUnixNano: at(0.0015) }),
  oneSpan('short', { traceId: ids.short, kind: 5, attributes: [attribute('http.route', '/a')] }),
  oneSpan('broken', { traceId: ids.broken, parentSpanId: newSpanId(), name: 'orphan' }),
  {
    resourceSpans: [
      {
        resource: resource('clock-a'),
        scopeSpans: [
          {
            spans: [
              { traceId: ids.skewed, spanId: '00000000000000a1', name: 'parent', ...between(100, 200) },
              {
                traceId: ids.skewed,
                spanId: '00000000000000a2',
                parentSpanId: '00000000000000a1',
                name: 'early',
                ...between(90.5, 120),
              },
              {
                traceId: ids.skewed,
                spanId: '00000000000000a3',
                parentSpanId: '00000000000000a1',
                name: 'longer',
                ...between(50, 5_000),
              },
              {
                traceId: ids.skewed,
                spanId: '00000000000000a4',
                parentSpanId: '00000000000000a1',
                name: 'late',
                ...between(190, 250),
              },
              { traceId: ids.skewed, spanId: '00000000000000a5', name: 'backwards', ...between(120, 110) },
              { traceId: ids.skewed, spanId: '00000000000000a6', name: 'empty', ...between(120, 120) },
            ],
          },
        ],
      },
    ],
  },
  oneSpan('links', {
    traceId: ids.links,
    parentSpanId: '00000000000000b0',
    links: [
      { traceId: ids.purchase, spanId: buyer },
      { traceId: ids.links, spanId: '00000000000000b0' },
      { traceId: ids.links, spanId: '00000000000000b9', attributes: [attribute('opentracing.ref_type', 'child_of')] },
    ],
  }),
  oneSpan('twice', { traceId: ids.twice, spanId: '00000000000000c1' }),
  oneSpan('twice', { traceId: ids.twice, spanId: '00000000000000c1' }),
  oneSpan('twice', { traceId: ids.twice, spanId: '00000000000000c1', name: 'another' }),
  oneSpan('', { traceId: ids.odd, name: '', kind: 9 }),
  { resourceSpans: [{ scopeSpans: oneSpan('', { traceId: ids.nameless }).resourceSpans[0]!.scopeSpans }] },
  {
    resourceSpans: [
      {
        resource: { attributes: [attribute('service.name', 7), attribute('host.name', 'h')] },
        scopeSpans: oneSpan('', { traceId: ids.unnamed }).resourceSpans[0]!.scopeSpans,
      },
    ],
  },
  oneSpan('last', { traceId: ids.last }),
];

function between(from: number, to: number): { startTimeUnixNano: string; endTimeUnixNano: string } {
  return { startTimeUnixNano: at(from), endTimeUnixNano: at(to) };
}

function query(path: string, params: Record<string, string | number>): string {
  const text = Object.entries(params).map(([key, value]) => `${key}=${encodeURIComponent(value)}`);
  return `${path}?${text.join('&')}`;
}

const traces = (params: Record<string, string | number>): string => query('/api/traces', params);
const window = { start: Number(start / 1_000n) - 1_000, end: Number(start / 1_000n) + 1_000_000 };

/** What is asked of both. `partly`: the text of an error is the sender's language's, only the status must agree. */
export const cases: readonly { what: string; path: string; partly?: 'status' }[] = [
  { what: 'services', path: '/api/services' },
  { what: 'operations by service', path: '/api/services/bookstore-v1/operations' },
  { what: 'operations of an unknown service', path: '/api/services/nobody/operations' },
  { what: 'operations with kinds', path: '/api/operations?service=bookbuyer' },
  { what: 'operations of one kind', path: '/api/operations?service=bookbuyer&spanKind=client' },
  { what: 'operations without a service', path: '/api/operations' },
  { what: 'operations of another service', path: '/api/operations?service=bookstore-v1' },
  ...Object.entries(ids).map(([name, id]) => ({ what: `trace "${name}"`, path: `/api/traces/${id}` })),
  { what: 'a short trace id', path: `/api/traces/${ids.short.slice(16)}` },
  { what: 'an upper-case trace id', path: `/api/traces/${ids.purchase.toUpperCase()}` },
  { what: 'an unknown trace', path: `/api/traces/${newTraceId()}` },
  { what: 'an id that is none', path: '/api/traces/xyz' },
  { what: 'an id that is too long', path: `/api/traces/${ids.purchase}0` },
  { what: 'an id of 20 digits', path: '/api/traces/00000000000000000001' },
  {
    what: 'several ids, one unknown',
    path: `/api/traces?traceID=${ids.purchase}&traceID=abc&traceID=${ids.short.slice(16)}`,
  },
  { what: 'an id parameter that is none', path: '/api/traces?traceID=%zz', partly: 'status' },
  { what: 'an id parameter with a letter too many', path: '/api/traces?traceID=12g' },
  { what: 'search without a service', path: '/api/traces' },
  { what: 'search by service', path: traces({ service: 'bookbuyer' }) },
  { what: 'search by service and window', path: traces({ service: 'bookbuyer', ...window }) },
  { what: 'search before the data', path: traces({ service: 'bookbuyer', start: 1, end: window.start }) },
  {
    what: 'search with a lookback, which only the page reads',
    path: traces({ service: 'bookbuyer', lookback: '1h', ...window }),
  },
  { what: 'search by operation', path: traces({ service: 'bookstore-v1', operation: 'handler' }) },
  { what: 'search by an operation of another service', path: traces({ service: 'bookbuyer', operation: 'handler' }) },
  { what: 'tags: a number', path: traces({ service: 'bookbuyer', tags: '{"http.response.status_code":"200"}' }) },
  { what: 'tags: error', path: traces({ service: 'bookstore-v1', tags: '{"error":"true"}' }) },
  {
    what: 'tags: two that stand on different spans',
    path: traces({ service: 'bookstore-v1', tags: '{"error":"true","otel.status_code":"OK"}' }),
  },
  {
    what: 'tags: of the process',
    path: traces({ service: 'bookstore-v1', tags: '{"service.namespace":"bookstore"}' }),
  },
  { what: 'tags: of a log', path: traces({ service: 'bookbuyer', tags: '{"event":"retry"}' }) },
  { what: 'tags: span.kind', path: traces({ service: 'bookbuyer', tags: '{"span.kind":"client"}' }) },
  { what: 'tags: binary as hex', path: traces({ service: 'types', tags: '{"bytes":"0001fe"}' }) },
  { what: 'tags: float', path: traces({ service: 'types', tags: '{"double":"0.1"}' }) },
  { what: 'tags: int64', path: traces({ service: 'types', tags: '{"large":"9007199254740993"}' }) },
  { what: 'tags: the second of one name', path: traces({ service: 'types', tags: '{"text":"again"}' }) },
  { what: 'tags: not there', path: traces({ service: 'bookbuyer', tags: '{"nope":"1"}' }) },
  { what: 'tags: no JSON', path: traces({ service: 'bookbuyer', tags: '{' }), partly: 'status' },
  { what: 'tags: a number for a value', path: traces({ service: 'bookbuyer', tags: '{"a":1}' }), partly: 'status' },
  { what: 'tag, the simple form', path: traces({ service: 'bookbuyer', tag: 'http.request.method:GET' }) },
  { what: 'tag without a colon', path: traces({ service: 'bookbuyer', tag: 'http' }) },
  { what: 'minDuration', path: traces({ service: 'bookbuyer', minDuration: '39ms' }) },
  { what: 'minDuration, too long', path: traces({ service: 'bookbuyer', minDuration: '1.5s' }) },
  { what: 'maxDuration', path: traces({ service: 'bookbuyer', maxDuration: '38ms' }) },
  { what: 'both durations', path: traces({ service: 'bookbuyer', minDuration: '30ms', maxDuration: '0.04s' }) },
  { what: 'durations crossed', path: traces({ service: 'bookbuyer', minDuration: '2s', maxDuration: '1s' }) },
  { what: 'a duration without unit', path: traces({ service: 'bookbuyer', minDuration: '20' }) },
  { what: 'a duration that is none', path: traces({ service: 'bookbuyer', maxDuration: 'long' }) },
  { what: 'limit that is none', path: traces({ service: 'bookbuyer', limit: 'x' }) },
  { what: 'limit 1', path: traces({ service: 'types', limit: 1 }) },
  { what: 'start that is none', path: traces({ service: 'bookbuyer', start: 'now' }) },
  { what: 'search of an unknown service', path: traces({ service: 'nobody' }) },
  { what: 'dependencies', path: query('/api/dependencies', { endTs: Date.now(), lookback: 3_600_000 }) },
  { what: 'dependencies before the data', path: query('/api/dependencies', { endTs: 1_000, lookback: 3_600_000 }) },
  { what: 'dependencies of one service', path: query('/api/dependencies', { endTs: Date.now(), service: 'nobody' }) },
  { what: 'dependencies with a bad lookback', path: query('/api/dependencies', { lookback: '1h' }) },
  { what: 'dependencies with a bad end', path: query('/api/dependencies', { endTs: 'x' }) },
];
