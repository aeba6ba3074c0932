import type { UpstreamFilter } from './envoy-cluster-types.ts';
import type { HeaderMutation, HttpFilter } from './envoy-http-types.ts';
import type { HeaderMatcher } from './envoy-rbac-types.ts';
import type { RouteConfiguration } from './envoy-route-types.ts';
import type { HeaderValueOption } from './envoy-types.ts';

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

/** Temporary headers. The two of a kind: ids of 128 bits, of 64. */
const temporary = 'x-tulle-b3-';
const multi = { long: `${temporary}multi`, short: `${temporary}multi64` };
const single = { long: `${temporary}single`, short: `${temporary}single64` };
const half = `${temporary}half`;

const zeros = '0'.repeat(16);

/** Both ids, of the sizes that B3 has. */
function validMulti(traceDigits: 32 | 16): string {
  return [
    has('x-b3-traceid'),
    has('x-b3-spanid'),
    hasSize('x-b3-traceid', traceDigits),
    hasSize('x-b3-spanid', 16),
    isHex('x-b3-traceid'),
    isHex('x-b3-spanid'),
  ].join(' && ');
}

/** `{trace}-{span}`, with a decision, and with a parent behind it. */
function validSingle(traceDigits: 32 | 16): string {
  const ids = traceDigits + 1 + 16;
  const pattern = '^[0-9a-f]+-[0-9a-f]+(-[01d](-[0-9a-f]+)?)?$';
  return `${has('b3')} && ${hasSize('b3', ids, ids + 2, ids + 19)} && ${h('b3')}.matches('${pattern}')`;
}

const removeTemporary: HeaderMutation = { remove_on_match: { key_matcher: { prefix: temporary } } };

/**
 * Runs before the span begins. `sampling`: where 1, whatever has no decision is sampled. Each form is asked for once, as
 * asking is what costs; the answer is the end of the `traceparent`, before which the rest is put where there is one.
 */
export function b3Extraction(sampling: number): readonly HeaderMutation[] {
  const all = sampling >= 1;
  const multiSampled = (undecided: boolean): string =>
    `${has('x-b3-flags')} && ${h('x-b3-flags')} == '1' ? true : ` +
    `${has('x-b3-sampled')} ? (${h('x-b3-sampled')} == '1' || ${h('x-b3-sampled')} == 'true') : ${undecided}`;
  const longSampled = `!(${h('b3')}.endsWith('-0') || ${h('b3')}.contains('-0-'))`;
  const shortSampled = `${h('b3')}.matches('-[1d](-|$)')${all ? ` || ${hasSize('b3', 33)}` : ''}`;
  const decided = (valid: string, sampled: string): string => when(valid, `((${sampled}) ? '-01' : '-00')`);
  const multiIds = `${req('x-b3-traceid')}-${req('x-b3-spanid')}`;
  return [
    add(multi.long, decided(validMulti(32), multiSampled(true))),
    add(multi.short, decided(validMulti(16), multiSampled(all))),
    add(single.long, decided(validSingle(32), longSampled)),
    add(single.short, decided(validSingle(16), shortSampled)),
    complete(multi.long, `00-${multiIds}`),
    complete(multi.short, `00-${zeros}${multiIds}`),
    complete(single.long, '00-%REQ(b3):49%'),
    complete(single.short, `00-${zeros}%REQ(b3):33%`),
    add('traceparent', `%REQ(${multi.long}?${multi.short})%`),
    add('traceparent', `%REQ(${single.long}?${single.short})%`),
    removeTemporary,
  ];
}

/** Puts the beginning before what is there; where nothing is, nothing comes. */
function complete(key: string, beginning: string): HeaderMutation {
  return {
    append: { header: { key, value: `${beginning}${req(key)}` }, append_action: 'OVERWRITE_IF_EXISTS' },
  };
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

/** On every request to the app, before what its route adds. */
export const b3Headers: Pick<
  RouteConfiguration,
  'request_headers_to_add' | 'request_headers_to_remove' | 'most_specific_header_mutations_wins'
> = {
  request_headers_to_add: [toOption('x-b3-traceid', '%TRACE_ID%'), toOption('x-b3-spanid', '%SPAN_ID%')],
  request_headers_to_remove: ['b3', 'x-b3-parentspanid'],
  most_specific_header_mutations_wins: true,
};

/** A route of its own for each decision: to choose among routes costs nearly nothing, to write it down by CEL does. */
export interface DecisionRoute {
  readonly headers?: readonly HeaderMatcher[];
  readonly request_headers_to_add?: readonly HeaderValueOption[];
  /** Only this hop's tracer knows, and behind the router alone: see `b3Injection`. */
  readonly undecided?: true;
}

/** A span follows the decision that came with the request, and where none came, `sampling`. */
export function toDecisionRoutes(sampling: number): readonly DecisionRoute[] {
  const sampled: DecisionRoute = { request_headers_to_add: [toOption('x-b3-sampled', '1')] };
  const unsampled: DecisionRoute = {
    request_headers_to_add: [
      toOption('x-b3-sampled', '0'),
      ...(sampling >= 1 ? [] : [toOption('x-b3-traceid', '%REQ(x-b3-traceid):16%')]),
    ],
  };
  const present: HeaderMatcher = { name: 'traceparent', present_match: true };
  const yes: HeaderMatcher = {
    name: 'traceparent',
    string_match: { safe_regex: { regex: '[0-9a-f]+-[0-9a-f]+-[0-9a-f]+-[0-9a-f][13579bdf]' } },
  };
  if (sampling <= 0) return [{ ...sampled, headers: [yes] }, unsampled];
  if (sampling >= 1) return [{ ...unsampled, headers: [present, { ...yes, invert_match: true }] }, sampled];
  return [{ ...sampled, headers: [yes] }, { ...unsampled, headers: [present] }, { undecided: true }];
}

/** Whether a span's decision may be known behind the router only. */
export function mayBeUndecided(sampling: number): boolean {
  return sampling > 0 && sampling < 1;
}

function toOption(key: string, value: string): HeaderValueOption {
  return { header: { key, value }, append_action: 'OVERWRITE_IF_EXISTS_OR_ADD' };
}

/** Runs behind the router, which has written the span's own `traceparent`, for requests that came without one. */
export const b3Injection: readonly (HttpFilter | UpstreamFilter)[] = [
  {
    name: 'envoy.filters.http.header_mutation',
    typed_config: {
      '@type': 'type.googleapis.com/envoy.extensions.filters.http.header_mutation.v3.HeaderMutation',
      mutations: {
        request_mutations: [
          overwrite(half, '%REQ(x-b3-traceid):16%'),
          overwrite('x-b3-traceid', cel(`${isSampled} ? ${h('x-b3-traceid')} : ${h(half)}`)),
          { remove: half },
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
