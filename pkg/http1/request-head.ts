import { decodeConnection } from './connection-field.ts';
import { field } from './field-names.ts';
import { decodeFraming, noBody, onlyValue } from './framing.ts';
import { FieldLines, RequestHead } from './head.ts';
import type { TargetForm } from './head.ts';
import type { HeadScanner } from './head-scanner.ts';
import type { RefusalReason } from './refusal.ts';

/** Methods that Node and Envoy know; others are refused by both. RTSP's are none of HTTP's. */
const methods: ReadonlySet<string> = new Set(
  (
    'ACL BIND CHECKOUT CONNECT COPY DELETE GET HEAD LINK LOCK M-SEARCH MERGE MKACTIVITY MKCALENDAR MKCOL MOVE NOTIFY ' +
    'OPTIONS PATCH POST PROPFIND PROPPATCH PURGE PUT QUERY REBIND REPORT SEARCH SUBSCRIBE TRACE UNBIND UNLINK UNLOCK ' +
    'UNSUBSCRIBE'
  ).split(' '),
);

/** Visible ASCII; no fragment. */
const targetText = /^[!-"$-~]+$/;
/** RFC 3986 §3.2 without user information; may be empty. */
const host = /^(?:(?:[A-Za-z0-9._~!$&'()*+,;=%-]+|\[[0-9A-Fa-f:.]+\])(?::[0-9]{0,5})?)?$/;
const hostAndPort = /^(?:[A-Za-z0-9._~-]+|\[[0-9A-Fa-f:.]+\]):[0-9]{1,5}$/;
const absolute = /^https?:\/\/([^/?]+)(.*)$/is;
const upgradeToken = /^[A-Za-z0-9!#$%&'*+.^_`|~-]+(?:\/[A-Za-z0-9!#$%&'*+.^_`|~-]+)?$/;

interface Target {
  readonly form: TargetForm;
  readonly path: string;
  /** Of the target itself; undefined when it names none. */
  readonly authority?: string;
}

/** Request line and fields of a scanned head to a request, or why it is none. */
export function decodeRequestHead(scanner: HeadScanner): RequestHead | RefusalReason {
  const line = scanner.text.slice(0, scanner.startLineLength);
  const method = line.slice(0, line.indexOf(' '));
  if (!methods.has(method)) return 'method';
  const minor = toMinor(line);
  if (minor === undefined) return 'version';
  const target = line.slice(method.length + 1, -' HTTP/1.1'.length);
  const meant = decodeTarget(method, target);
  if (meant === undefined) return 'target';

  const lines = new FieldLines(scanner);
  const authority = decodeHost(lines, minor);
  if (authority === undefined) return 'host';
  const body = decodeFraming(lines, minor) ?? noBody;
  if (typeof body === 'string') return body;
  if (method === 'CONNECT' && body !== noBody) return 'contentLength';
  const connection = decodeConnection(lines);
  if (connection === undefined) return 'connection';
  const upgrade = connection.upgrade && minor === 1 ? decodeUpgrade(lines) : '';
  if (upgrade === undefined) return 'upgrade';
  const expectsContinue = decodeExpect(lines, minor);
  if (expectsContinue === undefined) return 'expectation';

  return new RequestHead(
    scanner,
    {
      minor,
      framing: body.framing,
      length: body.length,
      keepAlive: minor === 1 ? !connection.close : connection.keepAlive && !connection.close,
      nominated: connection.nominated,
      startLineLength: scanner.startLineLength,
    },
    {
      method,
      target,
      form: meant.form,
      path: meant.path,
      authority: meant.authority ?? authority,
      // A body comes before the other protocol would (RFC 9110 §7.8): such a request is forwarded without Upgrade.
      upgrade: body === noBody && method !== 'CONNECT' ? upgrade : '',
      expectsContinue,
    },
  );
}

function toMinor(line: string): 0 | 1 | undefined {
  if (line.endsWith(' HTTP/1.1')) return 1;
  if (line.endsWith(' HTTP/1.0')) return 0;
  return undefined;
}

function decodeTarget(method: string, target: string): Target | undefined {
  if (!targetText.test(target)) return undefined;
  if (method === 'CONNECT') {
    return hostAndPort.test(target) ? { form: 'authority', path: '', authority: target } : undefined;
  }
  if (target.startsWith('/')) return { form: 'origin', path: target };
  if (target === '*') return method === 'OPTIONS' ? { form: 'asterisk', path: '*' } : undefined;
  const [, authority, rest] = absolute.exec(target) ?? [];
  if (authority === undefined || rest === undefined || !host.test(authority)) return undefined;
  const path = rest === '' && method === 'OPTIONS' ? '*' : rest.startsWith('/') ? rest : `/${rest}`;
  return { form: 'absolute', path, authority };
}

/** Exactly one Host line in HTTP/1.1, at most one in HTTP/1.0 (RFC 9112 §3.2). */
function decodeHost(lines: FieldLines, minor: 0 | 1): string | undefined {
  if (!lines.has(field.host)) return minor === 0 ? '' : undefined;
  const value = onlyValue(lines, field.host);
  return value !== undefined && host.test(value) ? value : undefined;
}

/** The protocol asked for; empty when none, undefined when it isn't exactly one. */
function decodeUpgrade(lines: FieldLines): string | undefined {
  if (!lines.has(field.upgrade)) return '';
  const value = onlyValue(lines, field.upgrade);
  return value !== undefined && upgradeToken.test(value) ? value.toLowerCase() : undefined;
}

function decodeExpect(lines: FieldLines, minor: 0 | 1): boolean | undefined {
  // HTTP/1.0 has no expectations: the line is ignored (RFC 9110 §10.1.1).
  if (!lines.has(field.expect) || minor === 0) return false;
  return onlyValue(lines, field.expect)?.toLowerCase() === '100-continue' ? true : undefined;
}
