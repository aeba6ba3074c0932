import type { DenyReason } from '../policy/decide.ts';
import { isJsonObject, pointer } from '../smi/reader.ts';

/** One thing that policy must say: an entry of a file of cases. */
export interface PolicyCase {
  readonly name: string;
  /** JSON pointer in its document. */
  readonly at: string;
  readonly from: string;
  readonly to: string;
  /** Absent: a TCP connection. */
  readonly method?: string;
  readonly path: string;
  readonly headers: readonly (readonly [name: string, value: string])[];
  readonly expect: 'allow' | 'deny';
  readonly reason?: DenyReason;
  /** Shares that the backends must have, 0 to 1. */
  readonly share?: Readonly<Record<string, number>>;
}

export interface CaseFault {
  readonly at: string;
  readonly message: string;
}

export interface DecodedCases {
  readonly cases: readonly PolicyCase[];
  /** A case that can't be read is no case that passes. */
  readonly faults: readonly CaseFault[];
}

const fields = ['name', 'from', 'to', 'method', 'path', 'headers', 'expect', 'reason', 'share'];
const reasons: readonly string[] = ['NoTarget', 'SourceNotAllowed', 'RequestNotAllowed', 'PlaintextRefused'];

/** Reads a document of cases: a list, or an object with `cases`. */
export function decodeCases(document: unknown): DecodedCases {
  const inObject = isJsonObject(document) && 'cases' in document;
  const list: unknown = inObject ? document['cases'] : document;
  const at = inObject ? '/cases' : '';
  if (!Array.isArray(list)) {
    return { cases: [], faults: [{ at, message: 'this is no list of cases: write "cases:" and a list below it' }] };
  }
  const cases: PolicyCase[] = [];
  const faults: CaseFault[] = [];
  for (const [i, raw] of (list as unknown[]).entries()) {
    const place = pointer(at, i);
    const decoded = decodeCase(raw, place);
    if (typeof decoded === 'string') faults.push({ at: place, message: decoded });
    else cases.push(decoded);
  }
  return { cases, faults };
}

/** The case, or what is wrong with it. */
function decodeCase(raw: unknown, at: string): PolicyCase | string {
  if (!isJsonObject(raw)) return 'a case is an object with from, to and expect';
  const unknown = Object.keys(raw).find((key) => !fields.includes(key));
  if (unknown !== undefined) return `a case has no field "${unknown}": it has ${fields.join(', ')}`;
  const { from, to, method, path = '/', expect, reason, name } = raw;
  if (typeof from !== 'string' || from === '') return 'from is missing: who calls, as namespace/serviceaccount';
  if (typeof to !== 'string' || to === '') return 'to is missing: which Service, as name.namespace:port';
  if (expect !== 'allow' && expect !== 'deny') return 'expect is "allow" or "deny"';
  if (method !== undefined && typeof method !== 'string') return 'method is text';
  if (typeof path !== 'string') return 'path is text';
  if (reason !== undefined && (typeof reason !== 'string' || !reasons.includes(reason) || expect !== 'deny')) {
    return `reason goes with "expect: deny", and is one of ${reasons.join(', ')}`;
  }
  const headers = headersOf(raw['headers']);
  if (typeof headers === 'string') return headers;
  const share = sharesOf(raw['share']);
  if (typeof share === 'string') return share;
  const asked = method ?? ('path' in raw || headers.length > 0 ? 'GET' : undefined);
  return {
    name: typeof name === 'string' ? name : [from, '->', to, asked, asked && path].filter(Boolean).join(' '),
    at,
    from,
    to,
    path,
    headers,
    expect,
    ...(asked !== undefined && { method: asked }),
    ...(reason !== undefined && { reason: reason as DenyReason }),
    ...(share && { share }),
  };
}

/** `{name: value}`, and `{name: [value, value]}` for a header of several lines. */
function headersOf(raw: unknown): PolicyCase['headers'] | string {
  if (raw === undefined) return [];
  if (!isJsonObject(raw)) return 'headers is an object: name: value';
  const lines = Object.entries(raw).flatMap(([name, value]) => {
    const values: readonly unknown[] = Array.isArray(value) ? (value as unknown[]) : [value];
    return values.map((line): readonly [string, unknown] => [name, line]);
  });
  const wrong = lines.find(([, value]) => typeof value !== 'string' && typeof value !== 'number');
  return wrong ? `header ${wrong[0]} is no text` : lines.map(([name, value]) => [name, String(value)] as const);
}

/** `0.9`, `90%`. */
function sharesOf(raw: unknown): Readonly<Record<string, number>> | undefined | string {
  if (raw === undefined) return undefined;
  if (!isJsonObject(raw)) return 'share is an object: backend: 90%';
  const shares: Record<string, number> = {};
  for (const [backend, value] of Object.entries(raw)) {
    const text = String(value).trim();
    const number = Number(text.replace(/\s*%$/, ''));
    const share = text.endsWith('%') ? number / 100 : number;
    if (!(share >= 0 && share <= 1)) return `share of ${backend} is a number from 0 to 1, or a percentage`;
    shares[backend] = share;
  }
  return shares;
}
