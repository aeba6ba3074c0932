import type { FieldLines } from './head.ts';
import { field } from './field-names.ts';

/** What the Connection and Proxy-Connection lines say (RFC 9110 §7.6.1). */
export interface ConnectionOptions {
  readonly close: boolean;
  readonly keepAlive: boolean;
  readonly upgrade: boolean;
  readonly nominated: readonly string[];
}

const empty: readonly string[] = [];
const nothing: ConnectionOptions = {
  close: false,
  keepAlive: false,
  upgrade: false,
  nominated: empty,
};
const close: ConnectionOptions = { ...nothing, close: true };
const keepAlive: ConnectionOptions = { ...nothing, keepAlive: true };
const upgrade: ConnectionOptions = { ...nothing, upgrade: true };

const token = /^[!#$%&'*+\-.^_`|~0-9a-z]+$/;

/** Names that no Connection line can take away: they frame, address or describe the message. Nominating them is ignored. */
const endToEnd: ReadonlySet<string> = new Set([
  'host',
  'content-length',
  'transfer-encoding',
  'content-type',
  'cache-control',
]);

/** Reads them; undefined when an element is not a token, or a tab stands between them. */
export function decodeConnection(lines: FieldLines): ConnectionOptions | undefined {
  if (!lines.has(field.connection) && !lines.has(field.proxyConnection)) return nothing;
  let result = nothing;
  for (let i = 0; i < lines.count; i++) {
    const id = lines.id(i);
    if (id !== field.connection && id !== field.proxyConnection) continue;
    // Node misses options that stand beside a tab: two readers, two meanings.
    const options = lines.line(i).includes('\t') ? undefined : decodeLine(lines.value(i));
    if (options === undefined) return undefined;
    result = merge(result, id === field.connection ? options : options.close ? close : nothing);
  }
  return result;
}

function decodeLine(value: string): ConnectionOptions | undefined {
  const lower = value.toLowerCase();
  if (lower === 'keep-alive') return keepAlive;
  if (lower === 'close') return close;
  if (lower === 'upgrade') return upgrade;
  const options = lower.split(',').map((option) => option.replace(/^[ \t]+|[ \t]+$/g, ''));
  const named = options.filter((option) => option !== '');
  if (!named.every((option) => token.test(option))) return undefined;
  return {
    close: named.includes('close'),
    keepAlive: named.includes('keep-alive'),
    upgrade: named.includes('upgrade'),
    nominated: named.filter((option) => !endToEnd.has(option) && option !== 'close'),
  };
}

function merge(a: ConnectionOptions, b: ConnectionOptions): ConnectionOptions {
  if (a === nothing) return b;
  return {
    close: a.close || b.close,
    keepAlive: a.keepAlive || b.keepAlive,
    upgrade: a.upgrade || b.upgrade,
    nominated: [...a.nominated, ...b.nominated],
  };
}
