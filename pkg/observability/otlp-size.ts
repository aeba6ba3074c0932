import { otlpDescriptor } from './otlp-descriptor.ts';

/** More than an export may hold: its sender is to split it. */
export class OtlpTooLarge extends Error {
  override readonly name = 'OtlpTooLarge';
}

/** Collectors send some 8,000 at a time. */
const maxSpans = 20_000;
/** Spans, attributes, their values, events, links. An empty one is two bytes on the wire, and some hundred in memory. */
const maxMessages = 250_000;

/** By type, the fields that are messages themselves. */
const parts = new Map(
  Object.entries(otlpDescriptor.nested.tulle.nested.otlp.nested).map(([name, { fields }]) => [
    name,
    new Map(Object.values(fields).flatMap(({ type, id }) => (/^[A-Z]/.test(type) ? [[id, type] as const] : []))),
  ]),
);

/**
 * Looks how much there is to decode before anything is: some KiB of gzip may be millions of empty spans. Throws
 * `OtlpTooLarge`; what is no protobuf is left to the decoder to refuse.
 */
export function checkProtobufSize(body: Buffer): void {
  const open = [{ type: 'ExportTraceServiceRequest', at: 0, end: body.length }];
  let messages = 0;
  let spans = 0;
  for (let part = open.pop(); part !== undefined; part = open.pop()) {
    const { type, end } = part;
    const fields = parts.get(type);
    for (let at = part.at; at < end;) {
      const tag = readVarint(body, at, end);
      if (tag === undefined) break;
      const next = skip(body, tag, end);
      if (next === undefined) break;
      at = next.end;
      const inner = tag.value % 8 === 2 ? fields?.get(Math.floor(tag.value / 8)) : undefined;
      if (inner === undefined) continue;
      messages += 1;
      if (inner === 'Span') spans += 1;
      check(spans, messages);
      open.push({ type: inner, at: next.start, end: next.end });
    }
  }
}

/** The same for OTLP/JSON, where each of them is an object. */
export function checkJsonSize(body: Buffer): void {
  let messages = 0;
  for (let at = body.indexOf(0x7b); at !== -1; at = body.indexOf(0x7b, at + 1)) check(0, (messages += 1));
}

function check(spans: number, messages: number): void {
  if (spans > maxSpans) throw new OtlpTooLarge(`more than ${maxSpans} spans: send fewer at a time`);
  if (messages > maxMessages)
    throw new OtlpTooLarge(`more than ${maxMessages} spans, attributes and events: send fewer at a time`);
}

interface Read {
  readonly value: number;
  readonly at: number;
}

/** Undefined: it is cut off, or longer than any. */
function readVarint(body: Buffer, start: number, end: number): Read | undefined {
  let value = 0;
  for (let at = start; at < Math.min(end, start + 10); at += 1) {
    const byte = body[at] as number;
    value += (byte & 0x7f) * 2 ** (7 * (at - start));
    if (byte < 0x80) return { value, at: at + 1 };
  }
  return undefined;
}

/** Where the content of a field starts and ends; undefined: it is none. */
function skip(body: Buffer, tag: Read, end: number): { readonly start: number; readonly end: number } | undefined {
  const { at } = tag;
  const upTo = (next: number): { start: number; end: number } | undefined =>
    next > end ? undefined : { start: at, end: next };
  switch (tag.value % 8) {
    case 0: {
      const number = readVarint(body, at, end);
      return number && upTo(number.at);
    }
    case 1:
      return upTo(at + 8);
    case 2: {
      const length = readVarint(body, at, end);
      if (length === undefined || length.at + length.value > end) return undefined;
      return { start: length.at, end: length.at + length.value };
    }
    case 5:
      return upTo(at + 4);
    default:
      // A group: no field of OTLP, and the decoder passes over it.
      return upTo(at);
  }
}
