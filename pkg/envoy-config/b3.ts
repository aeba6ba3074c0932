import type { UpstreamFilter } from './envoy-cluster-types.ts';
import type { HeaderMutation, HttpFilter } from './envoy-http-types.ts';

/**
 * B3 for a tracer that speaks W3C alone (DECISIONS E8): on the way in, B3 becomes a `traceparent` where none came; on the
 * way to the app, the span's own `traceparent` is repeated as B3.
 *
 * Formatters have neither concatenation nor substrings: a value is put together of pieces, each of which is empty unless
 * its condition holds, and conditions are asked of a header that an earlier step has set. An empty value sets no header.
 *
 * A decision is passed on in `x-b3-sampled`, and some apps pass on the two ids alone. So an unsampled trace, whose id
 * nobody will ever look for, is given to the app with the first half of its id: ids of 64 bits without a decision
 * mean no, those of 128 bits yes. So a trace is whole or absent, also behind an app that forgets.
 */

const h = (name: string): string => `request.headers['${name}']`;
const has = (name: string): string => `'${name}' in request.headers`;
const hasSize = (name: string, ...sizes: readonly number[]): string =>
  `(${sizes.map((size) => `size(${h(name)}) == ${size}`).join(' || ')})`;
const isHex = (name: string): string => `${h(name)}.matches('^[0-9a-f]+$')`;
const cel = (expression: string): string => `%CEL(${expression})%`;
const when = (condition: string, value: string): string => cel(`${condition} ? ${value} : ''`);

/** Temporary headers; removed before anything else sees the request. */
const temporary = 'x-tulle-b3-';
const head = `${temporary}head`;
const traceId = `${temporary}trace`;
const spanId = `${temporary}span`;
const flags = `${temporary}flags`;
const long = `${temporary}long`;
const short = `${temporary}short`;
const singleHead = `${temporary}head1`;
const singleFlags = `${temporary}flags1`;

const zeros = '0'.repeat(16);

/** Both ids, of the sizes that B3 has. */
const validMulti = [
  has('x-b3-traceid'),
  has('x-b3-spanid'),
  hasSize('x-b3-traceid', 32, 16),
  hasSize('x-b3-spanid', 16),
  isHex('x-b3-traceid'),
  isHex('x-b3-spanid'),
].join(' && ');

/** `{trace}-{span}`, with a decision, and with a parent behind it. */
function validSingle(traceDigits: 32 | 16): string {
  const ids = traceDigits + 1 + 16;
  const pattern = '^[0-9a-f]+-[0-9a-f]+(-[01d](-[0-9a-f]+)?)?$';
  return `${has('b3')} && ${hasSize('b3', ids, ids + 2, ids + 19)} && ${h('b3')}.matches('${pattern}')`;
}

/** Runs before the span begins. `sampling`: where 1, whatever has no decision is sampled. */
export function b3Extraction(sampling: number): readonly HeaderMutation[] {
  const all = sampling >= 1;
  const undecided = all ? 'true' : hasSize('x-b3-traceid', 32);
  const multiSampled =
    `${has('x-b3-flags')} && ${h('x-b3-flags')} == '1' ? true : ` +
    `${has('x-b3-sampled')} ? (${h('x-b3-sampled')} == '1' || ${h('x-b3-sampled')} == 'true') : ${undecided}`;
  const sampledLong = `!(${h(long)}.endsWith('-0') || ${h(long)}.contains('-0-'))`;
  const sampledShort = `${h(short)}.matches('-[1d](-|$)')${all ? ` || ${hasSize(short, 33)}` : ''}`;
  return [
    add(head, when(validMulti, `(${hasSize('x-b3-traceid', 16)} ? '00-${zeros}' : '00-')`)),
    add(traceId, when(has(head), h('x-b3-traceid'))),
    add(spanId, when(has(head), h('x-b3-spanid'))),
    add(flags, when(has(head), `((${multiSampled}) ? '-01' : '-00')`)),
    // A prefix of one character of the flags is the dash between the ids.
    add('traceparent', `${req(head)}${req(traceId)}%REQ(${flags}):1%${req(spanId)}${req(flags)}`),
    add(long, when(validSingle(32), h('b3'))),
    add(short, when(validSingle(16), h('b3'))),
    add(singleHead, cel(`${has(long)} ? '00-' : (${has(short)} ? '00-${zeros}' : '')`)),
    add(
      singleFlags,
      cel(
        `${has(long)} ? (${sampledLong} ? '-01' : '-00') : ` +
          `(${has(short)} ? ((${sampledShort}) ? '-01' : '-00') : '')`,
      ),
    ),
    add('traceparent', `${req(singleHead)}%REQ(${long}):49%%REQ(${short}):33%${req(singleFlags)}`),
    { remove_on_match: { key_matcher: { prefix: temporary } } },
  ];
}

function req(name: string): string {
  return `%REQ(${name})%`;
}

function add(key: string, value: string): HeaderMutation {
  return { append: { header: { key, value }, append_action: 'ADD_IF_ABSENT' } };
}

function overwrite(key: string, value: string): HeaderMutation {
  return { append: { header: { key, value }, append_action: 'OVERWRITE_IF_EXISTS_OR_ADD' } };
}

const isSampled = `${has('traceparent')} && ${h('traceparent')}.endsWith('-01')`;

/** Runs behind the router, which has written the span's own `traceparent`. */
export function b3Injection(sampling: number): readonly (HttpFilter | UpstreamFilter)[] {
  const ids =
    sampling >= 1
      ? [overwrite('x-b3-traceid', '%TRACE_ID%')]
      : [
          overwrite(long, '%TRACE_ID%'),
          overwrite(short, `%REQ(${long}):16%`),
          overwrite('x-b3-traceid', cel(`${isSampled} ? ${h(long)} : ${h(short)}`)),
          { remove: long },
          { remove: short },
        ];
  return [
    {
      name: 'envoy.filters.http.header_mutation',
      typed_config: {
        '@type': 'type.googleapis.com/envoy.extensions.filters.http.header_mutation.v3.HeaderMutation',
        mutations: {
          request_mutations: [
            { remove: 'b3' },
            { remove: 'x-b3-parentspanid' },
            ...ids,
            overwrite('x-b3-spanid', '%SPAN_ID%'),
            overwrite('x-b3-sampled', cel(`${isSampled} ? '1' : '0'`)),
          ],
        },
      },
    },
    {
      name: 'envoy.filters.http.upstream_codec',
      typed_config: { '@type': 'type.googleapis.com/envoy.extensions.filters.http.upstream_codec.v3.UpstreamCodec' },
    },
  ];
}
