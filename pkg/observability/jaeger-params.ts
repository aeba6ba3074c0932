import { parseGoDuration } from './go-duration.ts';

/** A query that Jaeger answers with 400: the message is its own. */
export class BadQuery extends Error {
  override readonly name = 'BadQuery';
}

export interface TraceQuery {
  /** Full 32 digits. When there are any, the rest of the query doesn't count. */
  readonly traceIds: readonly string[];
  readonly service: string;
  readonly operation: string;
  readonly tags: Readonly<Record<string, string>>;
  readonly startNs: bigint;
  readonly endNs: bigint;
  /** 0: no bound. Nanoseconds. */
  readonly minDuration: number;
  readonly maxDuration: number;
  readonly limit: number;
}

const twoDays = 2n * 24n * 3_600n * 1_000_000_000n;
const defaultLimit = 100;

/** Reads the query of `GET /api/traces` (jaeger query_parser): times in µs, durations as Go writes them. */
export function parseTraceQuery(params: URLSearchParams, nowMs: number): TraceQuery {
  const nowNs = BigInt(nowMs) * 1_000_000n;
  const startNs = parseTime(params, 'start', 1_000n) ?? nowNs - twoDays;
  const endNs = parseTime(params, 'end', 1_000n) ?? nowNs;
  const tags = parseTags(params);
  const limit = parseInteger(params.get('limit') ?? '') ?? defaultLimit;
  const minDuration = parseDuration(params, 'minDuration');
  const maxDuration = parseDuration(params, 'maxDuration');
  const traceIds = params.getAll('traceID').map((id) => {
    try {
      return parseTraceId(id);
    } catch (error) {
      throw new BadQuery(`cannot parse traceID param: ${(error as Error).message}`);
    }
  });
  const service = params.get('service') ?? '';
  if (traceIds.length === 0 && service === '') throw new BadQuery("parameter 'service' is required");
  if (minDuration !== 0 && maxDuration !== 0 && maxDuration < minDuration) {
    throw new BadQuery("'maxDuration' should be greater than 'minDuration'");
  }
  const operation = params.get('operation') ?? '';
  return { traceIds, service, operation, tags, startNs, endNs, minDuration, maxDuration, limit: Number(limit) };
}

/** `endTs` and `lookback` of `GET /api/dependencies`, both in ms. */
export function parseDependencyQuery(params: URLSearchParams, nowMs: number): { startNs: bigint; endNs: bigint } {
  const endNs = parseTime(params, 'endTs', 1_000_000n) ?? BigInt(nowMs) * 1_000_000n;
  const lookback = parseTime(params, 'lookback', 1_000_000n) ?? twoDays / 2n;
  return { startNs: endNs - lookback, endNs };
}

/** An id of up to 32 hex digits, filled up with zeros on the left: short ids are those of old clients. */
export function parseTraceId(text: string): string {
  if (text.length > 32) throw new BadQuery(`TraceID cannot be longer than 32 hex characters: ${text}`);
  const high = text.length > 16 ? text.slice(0, -16) : '0';
  for (const half of [high, text.slice(-16)]) {
    if (!/^[0-9a-fA-F]+$/.test(half)) throw new BadQuery(`strconv.ParseUint: parsing ${goQuote(half)}: invalid syntax`);
  }
  return text.toLowerCase().padStart(32, '0');
}

function parseTime(params: URLSearchParams, name: string, unit: bigint): bigint | undefined {
  try {
    const value = parseInteger(params.get(name) ?? '');
    return value === undefined ? undefined : value * unit;
  } catch (error) {
    throw new BadQuery(`unable to parse param '${name}': ${(error as Error).message}`);
  }
}

function parseInteger(text: string): bigint | undefined {
  if (text === '') return undefined;
  if (!/^[-+]?\d{1,19}$/.test(text)) throw new BadQuery(`strconv.ParseInt: parsing ${goQuote(text)}: invalid syntax`);
  return BigInt(text.replace('+', ''));
}

function parseDuration(params: URLSearchParams, name: string): number {
  const text = params.get(name) ?? '';
  if (text === '') return 0;
  const value = parseGoDuration(text);
  if (value !== undefined) return value;
  const why = /^[-+]?[\d.]+$/.test(text) ? 'missing unit in duration' : 'invalid duration';
  throw new BadQuery(`unable to parse param '${name}': time: ${why} ${goQuote(text)}`);
}

function parseTags(params: URLSearchParams): Record<string, string> {
  const tags: Record<string, string> = {};
  for (const tag of params.getAll('tag')) {
    const colon = tag.indexOf(':');
    if (colon < 0) throw new BadQuery(`malformed 'tag' parameter, expecting key:value, received: ${tag}`);
    tags[tag.slice(0, colon)] = tag.slice(colon + 1);
  }
  for (const text of params.getAll('tags')) {
    const malformed = "malformed 'tags' parameter, cannot unmarshal JSON: ";
    let value: unknown;
    try {
      value = JSON.parse(text);
    } catch (error) {
      throw new BadQuery(malformed + (error as Error).message);
    }
    if (value === null) continue;
    if (typeof value !== 'object' || Array.isArray(value)) throw new BadQuery(`${malformed}not an object`);
    for (const [key, item] of Object.entries(value)) {
      if (typeof item !== 'string') throw new BadQuery(`${malformed}the value of ${key} is not a string`);
      tags[key] = item;
    }
  }
  return tags;
}

function goQuote(text: string): string {
  return JSON.stringify(text);
}
