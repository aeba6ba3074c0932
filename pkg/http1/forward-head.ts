import { bit, field, mask } from './field-names.ts';
import type { FieldLines, RequestHead, ResponseHead } from './head.ts';
import { FIELD_WIDTH } from './head-scanner.ts';

/** Fields of one connection, never forwarded (RFC 9110 §7.6.1). Transfer-Encoding is written anew where it holds. */
const hopByHop = mask(
  field.connection,
  field.keepAlive,
  field.proxyConnection,
  field.te,
  field.transferEncoding,
  field.upgrade,
  field.http2Settings,
);

/** Fields that carry a trace: a proxy that takes part in it replaces them. */
export const traceFields = mask(
  field.traceparent,
  field.tracestate,
  field.b3,
  field.xB3TraceId,
  field.xB3SpanId,
  field.xB3ParentSpanId,
  field.xB3Sampled,
  field.xB3Flags,
  field.uberTraceId,
);

/** Fields that mean nothing, or harm, in a trailer section (RFC 9110 §6.5.1): framing, routing, authentication, traces. */
const notInTrailers =
  hopByHop |
  traceFields |
  mask(
    field.host,
    field.contentLength,
    field.trailer,
    field.expect,
    field.proxyAuthorization,
    field.proxyAuthenticate,
    field.contentType,
    field.xForwardedClientCert,
    field.xForwardedFor,
    field.xForwardedProto,
    field.xRequestId,
    field.xTulle,
    field.xEnvoy,
  );

const namesNotInTrailers: readonly string[] = [
  'authorization',
  'cache-control',
  'content-encoding',
  'content-range',
  'cookie',
  'max-forwards',
  'range',
  'set-cookie',
];

/** How the forwarded body is delimited; decides the framing lines that are written. */
export type ForwardedFraming = 'same' | 'chunked' | 'close';

export interface HeadEdits {
  /** Known fields to leave out, as a mask (`field-names.ts`), on top of the hop-by-hop ones. */
  readonly drop?: number;
  /** Further names to leave out, lower case. */
  readonly dropNames?: readonly string[];
  /** Complete lines to add, `Name: value\r\n` each; the caller answers for their content. */
  readonly add?: string;
}

export interface RequestEdits extends HeadEdits {
  /** Path and query to send instead of the client's. */
  readonly path?: string;
  /** Host to send instead of the client's. */
  readonly host?: string;
}

const noNames: readonly string[] = [];

/** Head of a request to the next hop, always HTTP/1.1. `upgrade`: the protocol that may be switched to, or empty. */
export function toForwardedRequest(head: RequestHead, edits: RequestEdits, upgrade: string): string {
  const path = edits.path ?? (head.method === 'CONNECT' ? head.target : head.path);
  const same = head.minor === 1 && path === head.target;
  const startLine = same ? head.startLine : `${head.method} ${path} HTTP/1.1`;
  let drop = hopByHop | (edits.drop ?? 0);
  let add = edits.add ?? '';
  // RFC 9112 §3.2.2: an absolute target replaces Host. HTTP/1.0 may come without one.
  const host = edits.host ?? (head.form === 'absolute' || !head.has(field.host) ? head.authority : undefined);
  if (host !== undefined) {
    drop |= bit(field.host);
    add = `Host: ${host}\r\n${add}`;
  }
  if (head.framing === 'chunked') add += 'Transfer-Encoding: chunked\r\n';
  if (upgrade !== '') add += `Connection: Upgrade\r\nUpgrade: ${upgrade}\r\n`;
  if (head.minor === 0) drop |= bit(field.expect);
  return `${startLine}\r\n${keptLines(head, drop, head.nominated, edits.dropNames ?? noNames)}${add}\r\n`;
}

export interface ResponseTerms {
  /** HTTP version of the client. */
  readonly minor: 0 | 1;
  readonly framing: ForwardedFraming;
  /** This is the last response on the client's connection. */
  readonly close: boolean;
}

/** Head of a response to the client, always HTTP/1.1 (RFC 9110 §2.5). */
export function toForwardedResponse(head: ResponseHead, edits: HeadEdits, terms: ResponseTerms): string {
  const startLine = head.minor === 1 ? head.startLine : `HTTP/1.1${head.startLine.slice('HTTP/1.0'.length)}`;
  let drop = hopByHop | (edits.drop ?? 0);
  let add = edits.add ?? '';
  if (head.status < 200 || head.status === 204 || head.switches) {
    drop |= bit(field.contentLength);
  } else if (terms.framing === 'chunked' || (terms.framing === 'same' && describesChunked(head))) {
    add += 'Transfer-Encoding: chunked\r\n';
  }
  if (head.status === 101) {
    const protocol = head.first(field.upgrade);
    add += `Connection: Upgrade\r\n${protocol === undefined ? '' : `Upgrade: ${protocol}\r\n`}`;
  } else if (!head.interim && !head.switches) {
    if (terms.close) add += 'Connection: close\r\n';
    else if (terms.minor === 0) add += 'Connection: keep-alive\r\n';
  }
  return `${startLine}\r\n${keptLines(head, drop, head.nominated, edits.dropNames ?? noNames)}${add}\r\n`;
}

/** Trailer lines that may be forwarded, without the empty line. */
export function keptTrailers(trailers: FieldLines): string {
  return keptLines(trailers, notInTrailers, noNames, namesNotInTrailers);
}

/** A response to HEAD, or 304, may say how the body would have been framed. */
function describesChunked(head: ResponseHead): boolean {
  return head.framing === 'chunked' || (head.framing === 'none' && head.has(field.transferEncoding));
}

/**
 * The field lines without the dropped ones. Runs of lines that are as they should be are one slice of the text;
 * others are written anew, so that what is forwarded has one blank before the value and none behind it.
 */
function keptLines(
  head: FieldLines & { readonly startLineLength?: number },
  drop: number,
  nominated: readonly string[],
  dropNames: readonly string[],
): string {
  const { text, fields } = head;
  const first = fields[0];
  if (first === undefined) return '';
  const end = text.length - 2;
  const named = nominated.length > 0 || dropNames.length > 0;
  if (!named && head.plain && (head.mask & drop) === 0) return text.slice(first, end);

  let out = '';
  let from = first;
  for (let at = 0; at < fields.length; at += FIELD_WIDTH) {
    const start = fields[at]!;
    const next = at + FIELD_WIDTH < fields.length ? fields[at + FIELD_WIDTH]! : end;
    if (isDropped(head, at, drop, nominated, dropNames)) {
      if (from < start) out += text.slice(from, start);
      from = next;
    } else if (!head.plain) {
      out += canonicalLine(head, at);
      from = next;
    }
  }
  return from < end ? out + text.slice(from, end) : out;
}

function isDropped(
  lines: FieldLines,
  at: number,
  drop: number,
  nominated: readonly string[],
  dropNames: readonly string[],
): boolean {
  if ((bit(lines.fields[at + 4]!) & drop) !== 0) return true;
  if (nominated.length === 0 && dropNames.length === 0) return false;
  const name = lines.name(at / FIELD_WIDTH).toLowerCase();
  return nominated.includes(name) || dropNames.includes(name);
}

function canonicalLine(lines: FieldLines, at: number): string {
  const index = at / FIELD_WIDTH;
  return `${lines.name(index)}: ${lines.value(index)}\r\n`;
}
