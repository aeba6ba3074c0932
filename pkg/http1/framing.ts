import { field } from './field-names.ts';
import type { FieldLines, Framing } from './head.ts';
import type { RefusalReason } from './refusal.ts';

/** Length of the body by its fields alone; methods and statuses that have none come on top. */
export interface BodyFraming {
  readonly framing: Framing;
  readonly length: number;
}

export const noBody: BodyFraming = { framing: 'none', length: 0 };
const chunked: BodyFraming = { framing: 'chunked', length: 0 };

/** Transfer codings, well written, without parameters. */
const codings = /^[A-Za-z0-9-]+(?:, ?[A-Za-z0-9-]+)*$/;

/** 15 digits stay below 2^53 and are more than any body. */
const contentLength = /^[0-9]{1,15}$/;

/**
 * Content-Length and Transfer-Encoding, as strict as RFC 9112 §6 lets a server be: one line of one of them, digits
 * only, or exactly `chunked`; all that is otherwise has been read differently by somebody (request smuggling).
 */
export function decodeFraming(lines: FieldLines, minor: 0 | 1): BodyFraming | undefined | RefusalReason {
  const length = lines.has(field.contentLength);
  const encoding = lines.has(field.transferEncoding);
  if (!length && !encoding) return undefined;
  if (length && encoding) return 'lengthAndEncoding';
  const id = length ? field.contentLength : field.transferEncoding;
  const value = hasTab(lines, id) ? undefined : onlyValue(lines, id);
  if (length) {
    if (value === undefined || !contentLength.test(value)) return 'contentLength';
    return { framing: 'length', length: Number(value) };
  }
  if (minor === 0 || value === undefined) return 'transferEncoding';
  if (value.toLowerCase() === 'chunked') return chunked;
  return codings.test(value) ? 'transferCoding' : 'transferEncoding';
}

/** The value of a field that may have one line only; undefined when it has several or none. */
export function onlyValue(lines: FieldLines, id: number): string | undefined {
  let found: string | undefined;
  for (let i = 0; i < lines.count; i++) {
    if (lines.id(i) !== id) continue;
    if (found !== undefined) return undefined;
    found = lines.value(i);
  }
  return found;
}

/** A tab around these values has been a place to hide; Node refuses it too. */
function hasTab(lines: FieldLines, id: number): boolean {
  if (lines.plain) return false;
  for (let i = 0; i < lines.count; i++) {
    if (lines.id(i) === id && lines.line(i).includes('\t')) return true;
  }
  return false;
}
