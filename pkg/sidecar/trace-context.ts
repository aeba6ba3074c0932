/**
 * Reads and writes the trace of a request: W3C Trace Context, B3 (multi and single header) and Jaeger's
 * `uber-trace-id` in; W3C, B3 multi and Jaeger's out (DECISIONS E8). Nothing here knows a tracing library.
 */

/** What came with a request. `sampled` is absent where no decision was made yet. */
export interface IncomingTrace {
  /** 32 lower-case hex digits; absent: only a decision came (`b3: 0`). */
  readonly traceId?: string;
  readonly spanId?: string;
  readonly sampled?: boolean;
  /** The id came in half its length, as `toTraceHeaders` gives those of traces that are not sampled. */
  readonly halved?: true;
  /** B3's debug flag: sampled, and passed on as such. */
  readonly debug?: boolean;
  /** As it came; kept only beside the traceparent that it belongs to. */
  readonly tracestate?: string;
}

/** The trace of one hop: what goes out, and the span that is recorded when `sampled`. */
export interface HopTrace {
  readonly traceId: string;
  readonly spanId: string;
  readonly parentSpanId?: string;
  readonly sampled: boolean;
  readonly debug: boolean;
  readonly tracestate?: string;
  /** The id as B3 has it; absent: as it is. See `toHopTrace`. */
  readonly b3TraceId?: string;
}

/** The lines of one header, by lower-case name. */
export type HeaderLookup = (name: string) => readonly string[];

/** Gives `bytes` random bytes as lower-case hex. */
export type RandomHex = (bytes: number) => string;

const traceparentPattern = /^([0-9a-f]{2})-([0-9a-f]{32})-([0-9a-f]{16})-([0-9a-f]{2})(-.*)?$/;
const zeros = /^0+$/;

/** The trace that a request belongs to. W3C wins where both came; what is malformed counts as absent. */
export function decodeTrace(header: HeaderLookup): IncomingTrace {
  const trace = decodeTraceparent(header) ?? decodeB3Single(header('b3')) ?? decodeB3Multi(header);
  return trace.traceId === undefined ? (decodeUber(header('uber-trace-id')) ?? trace) : trace;
}

function decodeTraceparent(header: HeaderLookup): IncomingTrace | undefined {
  const lines = header('traceparent');
  if (lines.length !== 1) return undefined;
  const [, version, traceId, spanId, flags, rest] = traceparentPattern.exec((lines[0] as string).trim()) ?? [];
  if (traceId === undefined || spanId === undefined || flags === undefined) return undefined;
  // W3C Trace Context, "versioning of traceparent": ff is invalid, and version 00 ends with the flags.
  if (version === 'ff' || (version === '00' && rest !== undefined)) return undefined;
  if (zeros.test(traceId) || zeros.test(spanId)) return undefined;
  const tracestate = header('tracestate').join(',');
  return {
    traceId,
    spanId,
    sampled: (Number.parseInt(flags, 16) & 1) === 1,
    ...(tracestate === '' ? {} : { tracestate }),
  };
}

/** `{traceid}-{spanid}[-{sampled}[-{parentspanid}]]`, or a decision alone: `0`, `1`, `d`. */
function decodeB3Single(lines: readonly string[]): IncomingTrace | undefined {
  if (lines.length !== 1) return undefined;
  const parts = (lines[0] as string).trim().toLowerCase().split('-');
  if (parts.length === 1) return toDecision(parts[0]);
  if (parts.length > 4) return undefined;
  const ids = toIds(parts[0], parts[1]);
  if (!ids) return undefined;
  if (parts[2] === undefined) return ids;
  const decision = toDecision(parts[2]);
  if (!decision || (parts[3] !== undefined && !/^[0-9a-f]{16}$/.test(parts[3]))) return undefined;
  return { ...ids, ...decision };
}

function decodeB3Multi(header: HeaderLookup): IncomingTrace {
  const one = (name: string): string | undefined => {
    const lines = header(name);
    return lines.length === 1 ? (lines[0] as string).trim().toLowerCase() : undefined;
  };
  const ids = toIds(one('x-b3-traceid'), one('x-b3-spanid'));
  const decision = one('x-b3-flags') === '1' ? toDecision('d') : toDecision(one('x-b3-sampled'));
  return { ...ids, ...decision };
}

/** `{trace id}:{span id}:{parent id}:{flags}`, flags in hex: 1 sampled, 2 debug (Jaeger client libraries). */
function decodeUber(lines: readonly string[]): IncomingTrace | undefined {
  if (lines.length !== 1) return undefined;
  // Some clients escape the colons.
  const parts = (lines[0] as string).trim().toLowerCase().replaceAll('%3a', ':').split(':');
  const ids = toIds(parts[0], parts[1]);
  if (!ids || parts.length !== 4 || !/^[0-9a-f]{1,2}$/.test(parts[3] as string)) return undefined;
  const flags = Number.parseInt(parts[3] as string, 16);
  const { traceId, spanId } = ids;
  return { traceId, spanId, ...toDecision((flags & 2) === 2 ? 'd' : (flags & 1) === 1 ? '1' : '0') };
}

/** Ids of the length that W3C has. Shorter ones count: some clients leave out leading zeros. */
function toIds(
  trace: string | undefined,
  span: string | undefined,
): { traceId: string; spanId: string; halved?: true } | undefined {
  if (trace === undefined || span === undefined) return undefined;
  if (!/^[0-9a-f]{1,32}$/.test(trace) || !/^[0-9a-f]{1,16}$/.test(span)) return undefined;
  if (zeros.test(trace) || zeros.test(span)) return undefined;
  return {
    traceId: trace.padStart(32, '0'),
    spanId: span.padStart(16, '0'),
    ...(trace.length <= 16 ? { halved: true } : {}),
  };
}

function toDecision(text: string | undefined): { sampled: boolean; debug?: true } | undefined {
  switch (text) {
    case '1':
    case 'true':
      return { sampled: true };
    case '0':
    case 'false':
      return { sampled: false };
    case 'd':
      return { sampled: true, debug: true };
    default:
      return undefined;
  }
}

/** Whether a new trace is sampled: by the low 8 bytes of its id. */
export function sampleByTraceId(traceId: string, ratio: number): boolean {
  if (ratio >= 1) return true;
  if (!(ratio > 0)) return false;
  const high = Number.parseInt(traceId.slice(16, 24), 16);
  const low = Number.parseInt(traceId.slice(24, 32), 16);
  // In halves: 64 bits don't fit a number. Scaling by a power of two loses nothing.
  const scaled = ratio * 2 ** 32;
  const limit = Math.floor(scaled);
  return high < limit || (high === limit && low < (scaled - limit) * 2 ** 32);
}

/**
 * The trace of this hop, joined to the one that came or begun anew.
 *
 * Some apps pass on the two ids of B3 and forget the decision. Who decided, and by what, can't be known behind them; so
 * while less than all is sampled, B3 carries half of the id of a trace that is not sampled, and ids without a decision
 * mean no in half their length and yes in full. Envoy's configuration does the same (pkg/envoy-config/b3.ts), so that a
 * trace is whole or absent whichever sidecars it meets (DECISIONS E8).
 */
export function toHopTrace(incoming: IncomingTrace, ratio: number, randomHex: RandomHex): HopTrace {
  const traceId = incoming.traceId ?? randomHex(16);
  const sampled =
    incoming.sampled ??
    (incoming.traceId === undefined ? sampleByTraceId(traceId, ratio) : ratio >= 1 || incoming.halved !== true);
  // Each hop of each request comes here: a literal that spreads others costs several times as much.
  const hop: { -readonly [K in keyof HopTrace]: HopTrace[K] } = {
    traceId,
    // An unsampled hop leaves no span behind: its parent stays the parent of what follows.
    spanId: sampled || incoming.spanId === undefined ? randomHex(8) : incoming.spanId,
    sampled,
    debug: incoming.debug === true,
  };
  if (incoming.spanId !== undefined) hop.parentSpanId = incoming.spanId;
  if (incoming.tracestate !== undefined) hop.tracestate = incoming.tracestate;
  if (!sampled && ratio < 1) hop.b3TraceId = traceId.slice(0, 16);
  return hop;
}

/** Headers of a request that a hop replaces by its own. `baggage` and foreign codecs pass untouched. */
export const traceHeaders: ReadonlySet<string> = new Set([
  'traceparent',
  'tracestate',
  'b3',
  'x-b3-traceid',
  'x-b3-spanid',
  'x-b3-parentspanid',
  'x-b3-sampled',
  'x-b3-flags',
  'uber-trace-id',
]);

/** The headers that carry a hop's trace on, as a flat list of names and values. */
export function toTraceHeaders(trace: HopTrace): string[] {
  const { traceId, spanId, parentSpanId, sampled, debug, tracestate, b3TraceId = traceId } = trace;
  const headers = ['traceparent', `00-${traceId}-${spanId}-${sampled ? '01' : '00'}`];
  if (tracestate !== undefined) headers.push('tracestate', tracestate);
  headers.push('x-b3-traceid', b3TraceId, 'x-b3-spanid', spanId);
  if (parentSpanId !== undefined && parentSpanId !== spanId) headers.push('x-b3-parentspanid', parentSpanId);
  // B3: a debug flag implies the decision, and `x-b3-sampled` isn't sent beside it.
  if (debug) headers.push('x-b3-flags', '1');
  else headers.push('x-b3-sampled', sampled ? '1' : '0');
  headers.push('uber-trace-id', `${traceId}:${spanId}:${parentSpanId ?? '0'}:${debug ? '3' : sampled ? '1' : '0'}`);
  return headers;
}
