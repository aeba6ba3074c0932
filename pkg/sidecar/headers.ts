import { traceHeaders } from './trace-context.ts';

/** A header block as it stands on the wire: name, value, name, value, … */
export type RawHeaders = readonly string[];

/** RFC 9110 §7.6.1, and what older clients send; `trailer` stays: the trailers pass. */
const hopByHop: ReadonlySet<string> = new Set([
  'connection',
  'keep-alive',
  'proxy-connection',
  'proxy-authorization',
  'proxy-authenticate',
  'te',
  'transfer-encoding',
  'upgrade',
  'http2-settings',
]);

/** What a `Connection` header may not take away: it would change whose message it is, or where it ends. */
const notNominable: ReadonlySet<string> = new Set(['host', 'content-length', 'content-type', 'cache-control']);

/** RFC 9110 §6.5.1: fields that mean nothing, or harm, in a trailer. */
const notInTrailers: ReadonlySet<string> = new Set([
  'content-length',
  'content-encoding',
  'content-type',
  'content-range',
  'host',
  'trailer',
  'authorization',
  'cache-control',
  'cookie',
  'set-cookie',
  'expect',
  'max-forwards',
  'range',
]);

/** Envoy's HCM default (`max_headers_count`); more are answered with 431. */
export const maxHeaderCount = 100;

/** Envoy's HCM default (`max_request_headers_kb`). */
export const maxHeaderBytes = 60 * 1024;

/** Set by sidecars only; what an app or a peer says there is removed (DECISIONS E12). */
export function isReservedHeader(name: string): boolean {
  return name.startsWith('x-envoy-') || name.startsWith('x-tulle-') || name === 'x-forwarded-client-cert';
}

/** The lines of one header, in order. `name` is lower case. */
export function linesOf(raw: RawHeaders, name: string): string[] {
  const lines: string[] = [];
  for (let i = 0; i + 1 < raw.length; i += 2) {
    const key = raw[i] as string;
    if (key.length === name.length && key.toLowerCase() === name) lines.push(raw[i + 1] as string);
  }
  return lines;
}

/** The options of a `Connection` header, lower case. */
export function connectionOptions(raw: RawHeaders): ReadonlySet<string> {
  const options = new Set<string>();
  for (const line of linesOf(raw, 'connection')) {
    for (const option of line.split(',')) options.add(option.trim().toLowerCase());
  }
  return options;
}

function isDropped(name: string, nominated: ReadonlySet<string>): boolean {
  return hopByHop.has(name) || (nominated.has(name) && !notNominable.has(name));
}

/** The request headers that go on to the next hop; the caller adds `host`, the framing and the trace. */
export function toForwardedRequestHeaders(raw: RawHeaders): string[] {
  const nominated = connectionOptions(raw);
  const headers: string[] = [];
  for (let i = 0; i + 1 < raw.length; i += 2) {
    const name = (raw[i] as string).toLowerCase();
    if (isDropped(name, nominated) || name === 'host' || name === 'content-length') continue;
    if (traceHeaders.has(name) || isReservedHeader(name)) continue;
    headers.push(raw[i] as string, raw[i + 1] as string);
  }
  return headers;
}

/**
 * The response headers that go on. `fromApp`: reserved names are removed; from a peer's sidecar
 * they are kept, since it has removed what its app said there.
 */
export function toForwardedResponseHeaders(raw: RawHeaders, fromApp: boolean): string[] {
  const nominated = connectionOptions(raw);
  const headers: string[] = [];
  for (let i = 0; i + 1 < raw.length; i += 2) {
    const name = (raw[i] as string).toLowerCase();
    if (isDropped(name, nominated) && name !== 'proxy-authenticate') continue;
    if (fromApp && isReservedHeader(name)) continue;
    headers.push(raw[i] as string, raw[i + 1] as string);
  }
  return headers;
}

/** Trailers that may pass, as a flat list. */
export function toForwardedTrailers(raw: RawHeaders): string[] {
  const trailers: string[] = [];
  for (let i = 0; i + 1 < raw.length; i += 2) {
    const name = (raw[i] as string).toLowerCase();
    if (hopByHop.has(name) || notInTrailers.has(name) || isReservedHeader(name) || traceHeaders.has(name)) continue;
    trailers.push(raw[i] as string, raw[i + 1] as string);
  }
  return trailers;
}

/** RFC 3986 §3.2 without user information: what may stand in `Host` and in `:authority`. */
export function isAuthority(text: string): boolean {
  return text === '' || /^(?:[A-Za-z0-9._~!$&'()*+,;=%-]+|\[[0-9A-Fa-f:.]+\])(?::[0-9]{0,5})?$/.test(text);
}
