import type { UpstreamFilter } from './envoy-cluster-types.ts';
import type { HeaderMutation, HttpFilter } from './envoy-http-types.ts';
import type { RouteConfiguration } from './envoy-route-types.ts';
import type { HeaderMatcher, HeaderValueOption } from './envoy-types.ts';

/**
 * B3 for a tracer that speaks W3C alone (DECISIONS E8): on the way in, B3 becomes a `traceparent` where none came; on the
 * way to the app, the span's own `traceparent` is repeated as B3.
 *
 * Formatters have neither concatenation nor substrings, and CEL in them has only the groups of a pattern, put into a text.
 * So a value is put together of pieces by a header of its own where that is not enough. An empty value sets no header.
 *
 * A decision is passed on in `x-b3-sampled`, and some apps pass on the two ids alone. So an unsampled trace, whose id
 * nobody will ever look for, is given to the app with the first half of its id: ids of 64 bits without a decision
 * mean no, those of 128 bits yes. So a trace is whole or absent, also behind an app that forgets.
 */

const h = (name: string): string => `request.headers['${name}']`;
const has = (name: string): string => `'${name}' in request.headers`;
const hasSize = (name: string, ...sizes: readonly number[]): string =>
  `(${sizes.map((size) => `size(${h(name)}) == ${size}`).join(' || ')})`;
const cel = (expression: string): string => `%CEL(${expression})%`;

/** Temporary headers. `ids`: both ids of B3 in several headers. */
const ids = 'x-tulle-b3-ids';
const half = 'x-tulle-b3-half';

/** The `traceparent` of two ids, `pattern`'s first groups in a header: a text is put together by nothing else in CEL. */
function join(header: string, pattern: string, short: string, sampled: string): string {
  const to = (beginning: string): string =>
    `((${sampled}) ? '${beginning}\\\\1-\\\\2-01' : '${beginning}\\\\1-\\\\2-00')`;
  return `re.extract(${h(header)}, '${pattern}', ${short} ? ${to(`00-${'0'.repeat(16)}`)} : ${to('00-')})`;
}

/** Both ids, of the sizes that B3 has. */
function fromMulti(all: boolean): string {
  const short = hasSize('x-b3-traceid', 16);
  const undecided = all ? 'true' : `!${short}`;
  const sampled =
    `${has('x-b3-flags')} && ${h('x-b3-flags')} == '1' ? true : ` +
    `${has('x-b3-sampled')} ? (${h('x-b3-sampled')} == '1' || ${h('x-b3-sampled')} == 'true') : ${undecided}`;
  const pattern = '^([0-9a-f]+)-([0-9a-f]+)$';
  const valid = `${hasSize('x-b3-traceid', 16, 32)} && ${has('x-b3-spanid')} && ${hasSize('x-b3-spanid', 16)}`;
  return `${valid} && ${h(ids)}.matches('${pattern}') ? ${join(ids, pattern, short, sampled)} : ''`;
}

/** `{trace}-{span}`, with a decision, and with a parent behind it. */
function fromSingle(all: boolean): string {
  const pattern = '^([0-9a-f]+)-([0-9a-f]+)(-[01d](-[0-9a-f]+)?)?$';
  const short = hasSize('b3', 33, 35, 52);
  const longSampled = `!(${h('b3')}.endsWith('-0') || ${h('b3')}.contains('-0-'))`;
  const shortSampled = `${h('b3')}.matches('-[1d](-|$)')${all ? ` || ${hasSize('b3', 33)}` : ''}`;
  const sampled = `${short} ? (${shortSampled}) : ${longSampled}`;
  const valid = `${hasSize('b3', 33, 35, 52, 49, 51, 68)} && ${h('b3')}.matches('${pattern}')`;
  return `${valid} ? ${join('b3', pattern, short, sampled)} : ''`;
}

/**
 * Runs before the span begins. `sampling`: where 1, whatever has no decision is sampled. To ask CEL is what costs, whatever
 * it is asked, so it is asked once. With a trace id in a header of its own, B3 in one header is not looked at.
 */
export function b3Extraction(sampling: number): readonly HeaderMutation[] {
  const all = sampling >= 1;
  return [
    add(ids, '%REQ(x-b3-traceid)%'),
    change(ids, '%REQ(x-b3-traceid)%-%REQ(x-b3-spanid)%'),
    add('traceparent', cel(`${has(ids)} ? (${fromMulti(all)}) : ${has('b3')} ? (${fromSingle(all)}) : ''`)),
    { remove: ids },
  ];
}

/** Changes what is there; where nothing is, nothing comes. */
function change(key: string, value: string): HeaderMutation {
  return { append: { header: { key, value }, append_action: 'OVERWRITE_IF_EXISTS' } };
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
