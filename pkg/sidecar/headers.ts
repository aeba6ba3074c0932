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
