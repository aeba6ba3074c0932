import { decodeConnection } from './connection-field.ts';
import { field } from './field-names.ts';
import { decodeFraming, noBody } from './framing.ts';
import type { BodyFraming } from './framing.ts';
import { FieldLines, ResponseHead } from './head.ts';
import type { HeadScanner } from './head-scanner.ts';
import type { RefusalReason } from './refusal.ts';

/** What a response answers: its framing depends on it (RFC 9112 §6.3). */
export interface Answered {
  readonly method: string;
  /** The request asked for another protocol. */
  readonly upgrade: boolean;
}

const untilClose: BodyFraming = { framing: 'close', length: 0 };
const ZERO = 0x30;

/** Status line and fields of a scanned head to a response, or why it is none. */
export function decodeResponseHead(scanner: HeadScanner, answered: Answered): ResponseHead | RefusalReason {
  const { text, startLineLength } = scanner;
  const minor = text.startsWith('HTTP/1.1 ') ? 1 : text.startsWith('HTTP/1.0 ') ? 0 : undefined;
  if (minor === undefined) return 'version';
  const status = decodeStatus(text, startLineLength);
  if (status === undefined) return 'status';

  const lines = new FieldLines(scanner);
  const byFields = decodeFraming(lines, minor);
  if (typeof byFields === 'string') return byFields;
  const connection = decodeConnection(lines);
  if (connection === undefined) return 'connection';
  // An interim response promises another one (RFC 9110 §15.2).
  if (status < 200 && minor === 0) return 'version';
  if (status < 200 && connection.close) return 'connection';
  // It has no body (RFC 9110 §15.2), yet some readers, Node among them, look for the one that its fields promise.
  if (status < 200 && byFields?.framing === 'chunked') return 'transferEncoding';
  if (status < 200 && byFields !== undefined && byFields.length > 0) return 'contentLength';
  const switched = connection.upgrade && lines.has(field.upgrade);
  if (status === 101 && !(answered.upgrade && switched)) return 'upgrade';
  const switches = status === 101 || (answered.method === 'CONNECT' && status >= 200 && status < 300);
  const bare = switches || answered.method === 'HEAD' || status < 200 || status === 204 || status === 304;
  const body = bare ? noBody : (byFields ?? untilClose);

  return new ResponseHead(
    scanner,
    {
      minor,
      framing: body.framing,
      length: body.length,
      keepAlive:
        body.framing !== 'close' && (minor === 1 ? !connection.close : connection.keepAlive && !connection.close),
      nominated: connection.nominated,
      startLineLength: scanner.startLineLength,
    },
    status,
    switches,
  );
}

/** Three digits behind the version, then the end of the line or a blank; not below 100. */
function decodeStatus(text: string, end: number): number | undefined {
  if (end < 12 || (end > 12 && text[12] !== ' ')) return undefined;
  const hundreds = text.charCodeAt(9) - ZERO;
  const tens = text.charCodeAt(10) - ZERO;
  const ones = text.charCodeAt(11) - ZERO;
  if (hundreds < 1 || hundreds > 9 || tens < 0 || tens > 9 || ones < 0 || ones > 9) return undefined;
  return hundreds * 100 + tens * 10 + ones;
}
