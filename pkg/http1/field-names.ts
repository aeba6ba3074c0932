import { tokenLower } from './bytes.ts';

/**
 * Numbers of the field names that a proxy looks at, so that a head is searched by number and a set of names is one
 * bit mask. `other` is every name that isn't here. At most 31: they are bits.
 */
export const field = {
  other: 0,
  host: 1,
  contentLength: 2,
  transferEncoding: 3,
  connection: 4,
  keepAlive: 5,
  proxyConnection: 6,
  te: 7,
  trailer: 8,
  upgrade: 9,
  expect: 10,
  proxyAuthorization: 11,
  proxyAuthenticate: 12,
  http2Settings: 13,
  traceparent: 14,
  tracestate: 15,
  b3: 16,
  xB3TraceId: 17,
  xB3SpanId: 18,
  xB3ParentSpanId: 19,
  xB3Sampled: 20,
  xB3Flags: 21,
  xRequestId: 22,
  xForwardedClientCert: 23,
  xForwardedFor: 24,
  xForwardedProto: 25,
  userAgent: 26,
  contentType: 27,
  uberTraceId: 28,
  /** Any name that starts with `x-tulle-`. */
  xTulle: 29,
  /** Any name that starts with `x-envoy-`. */
  xEnvoy: 30,
} as const;

const names: Readonly<Record<string, number>> = {
  host: field.host,
  'content-length': field.contentLength,
  'transfer-encoding': field.transferEncoding,
  connection: field.connection,
  'keep-alive': field.keepAlive,
  'proxy-connection': field.proxyConnection,
  te: field.te,
  trailer: field.trailer,
  upgrade: field.upgrade,
  expect: field.expect,
  'proxy-authorization': field.proxyAuthorization,
  'proxy-authenticate': field.proxyAuthenticate,
  'http2-settings': field.http2Settings,
  traceparent: field.traceparent,
  tracestate: field.tracestate,
  b3: field.b3,
  'x-b3-traceid': field.xB3TraceId,
  'x-b3-spanid': field.xB3SpanId,
  'x-b3-parentspanid': field.xB3ParentSpanId,
  'x-b3-sampled': field.xB3Sampled,
  'x-b3-flags': field.xB3Flags,
  'x-request-id': field.xRequestId,
  'x-forwarded-client-cert': field.xForwardedClientCert,
  'x-forwarded-for': field.xForwardedFor,
  'x-forwarded-proto': field.xForwardedProto,
  'user-agent': field.userAgent,
  'content-type': field.contentType,
  'uber-trace-id': field.uberTraceId,
};

const prefixes: readonly (readonly [prefix: string, id: number])[] = [
  ['x-tulle-', field.xTulle],
  ['x-envoy-', field.xEnvoy],
];

const SLOTS = 1024;

/** Bit of a field number in a mask; 0 for `other`. */
export function bit(id: number): number {
  return id === 0 ? 0 : 1 << id;
}

/** One mask of several field numbers. */
export function mask(...ids: readonly number[]): number {
  return ids.reduce((bits, id) => bits | bit(id), 0);
}

const ids: ReadonlyMap<string, number> = new Map(Object.entries(names));

/** Number of a lower-case name. */
export function toFieldId(name: string): number {
  const id = ids.get(name);
  if (id !== undefined) return id;
  if (!name.startsWith('x-')) return field.other;
  return prefixes.find(([prefix]) => name.startsWith(prefix))?.[1] ?? field.other;
}

/** The number stands for one name only, and not for a family of them. */
export function isOneName(id: number): boolean {
  return id !== field.other && id < field.xTulle;
}

/** One step of the hash of a lower-case name; start with 0. */
export function hashStep(hash: number, lowerByte: number): number {
  return (Math.imul(hash, 33) + lowerByte) | 0;
}

const slots = buildSlots();

/** Number of the name in `bytes[start, end)`, whose hash (`hashStep` over its lower-case bytes) is known. */
export function lookUpField(bytes: Uint8Array, start: number, end: number, hash: number): number {
  const known = slots[hash & (SLOTS - 1)]!;
  if (known.name.length === end - start && startsWith(bytes, start, known.name)) return known.id;
  if ((bytes[start]! | 0x20) !== 0x78) return field.other;
  for (const [prefix, id] of prefixes) {
    if (end - start > prefix.length && startsWith(bytes, start, prefix)) return id;
  }
  return field.other;
}

function startsWith(bytes: Uint8Array, start: number, lower: string): boolean {
  for (let i = 0; i < lower.length; i++) {
    if (tokenLower[bytes[start + i]!] !== lower.charCodeAt(i)) return false;
  }
  return true;
}

function buildSlots(): readonly {
  readonly name: string;
  readonly id: number;
}[] {
  const table = Array.from({ length: SLOTS }, () => ({ name: '', id: 0 }));
  for (const [name, id] of Object.entries(names)) {
    let hash = 0;
    for (let i = 0; i < name.length; i++) hash = hashStep(hash, name.charCodeAt(i));
    const slot = hash & (SLOTS - 1);
    if (table[slot]!.name !== '') throw new Error(`can't happen: ${name} and ${table[slot]!.name} share a slot`);
    table[slot] = { name, id };
  }
  return table;
}
