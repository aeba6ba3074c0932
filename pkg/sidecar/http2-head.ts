import type { Http2RequestHead } from '../http2/head.ts';
import { toBadRequest } from './denial.ts';
import type { LocalAnswer } from './denial.ts';
import type { Exchange } from './exchange.ts';
import { isAuthority, isReservedHeader, maxHeaderCount } from './headers.ts';
import type { RawHeaders } from './headers.ts';
import type { Peer } from './peer-identity.ts';
import { toTraceHeaders, traceHeaders } from './trace-context.ts';

/** What of RFC 9110 §7.6.1 HTTP/2 leaves in a head at all (RFC 9113 §8.2.2). */
const ofOneHop: ReadonlySet<string> = new Set(['te', 'proxy-authorization', 'proxy-authenticate']);

/** Set anew on each hop, or said by pseudo fields. */
const replaced: ReadonlySet<string> = new Set([...ofOneHop, ...traceHeaders, 'host', 'cookie']);

const none: readonly string[] = [];

/** The lines of one field. Names are in lower case, all of them: those of HTTP/2 are. */
export function linesOfField(fields: RawHeaders, name: string): readonly string[] {
  let lines: string[] | undefined;
  for (let i = 0; i < fields.length; i += 2) {
    if (fields[i] === name) (lines ??= []).push(fields[i + 1] as string);
  }
  return lines ?? none;
}

/** The lines of one field as rules and the next hop see them: HTTP/2 cuts cookies to pieces (RFC 9113 §8.2.3). */
export function linesOfRequest(fields: RawHeaders, name: string): readonly string[] {
  const lines = linesOfField(fields, name);
  return name === 'cookie' && lines.length > 1 ? [lines.join('; ')] : lines;
}

/** The head for the next hop: pseudo fields, what goes from end to end, and the trace of this hop. */
export function toHopHead(
  { site, trace, target }: Exchange,
  { method, scheme, fields }: Http2RequestHead,
  authority: string,
  { forwardedCert }: Peer,
): RawHeaders {
  const head = [':method', method, ':scheme', scheme === 'https' ? 'https' : 'http', ':path', target];
  if (authority !== '') head.push(':authority', authority);
  let hasCookies = false;
  for (let i = 0; i < fields.length; i += 2) {
    const name = fields[i] as string;
    if (replaced.has(name)) hasCookies ||= name === 'cookie';
    else if (!isReservedHeader(name)) head.push(name, fields[i + 1] as string);
  }
  if (hasCookies) head.push('cookie', linesOfField(fields, 'cookie').join('; '));
  for (const text of toTraceHeaders(trace)) head.push(text);
  if (site.direction === 'inbound' && forwardedCert !== undefined) head.push('x-forwarded-client-cert', forwardedCert);
  // The one hop-by-hop field that HTTP/2 has, and gRPC asks for (RFC 9113 §8.2.2).
  head.push('te', 'trailers');
  return head;
}

/**
 * The head of an answer as it goes on. `fromApp`: reserved names are removed; from a peer's sidecar they are kept, since it
 * has removed what its app said there.
 */
export function toHopAnswer(block: RawHeaders, fromApp: boolean): RawHeaders {
  const head: string[] = [];
  for (let i = 0; i < block.length; i += 2) {
    const name = block[i] as string;
    if (ofOneHop.has(name) && name !== 'proxy-authenticate') continue;
    if (fromApp && isReservedHeader(name)) continue;
    head.push(name, block[i + 1] as string);
  }
  return head;
}

/** Why a head can't be read in one way only. */
export function toHeadRefusal(
  { method, fields }: Http2RequestHead,
  authority: string,
  overflow: boolean,
): LocalAnswer | undefined {
  if (overflow || fields.length > maxHeaderCount * 2) return toBadRequest('too many headers', 431);
  if (method === 'CONNECT') return toBadRequest('CONNECT is for the forward proxy', 405);
  if (!isAuthority(authority)) return toBadRequest(':authority is not an authority');
  // Two names for one target: which one a rule matched must be the one that the app sees.
  for (const host of linesOfField(fields, 'host')) {
    if (host.toLowerCase() !== authority.toLowerCase()) return toBadRequest('Host differs from :authority');
  }
  return undefined;
}
