/** Distinguished Encoding Rules (X.690), the writing half: what a certificate needs. Node parses and verifies them. */

export function toTlv(tag: number, ...content: readonly Uint8Array[]): Buffer {
  const body = Buffer.concat(content);
  return Buffer.concat([Buffer.from([tag]), toLength(body.length), body]);
}

function toLength(length: number): Buffer {
  if (length < 0x80) return Buffer.from([length]);
  const bytes: number[] = [];
  for (let rest = length; rest > 0; rest >>>= 8) bytes.unshift(rest & 0xff);
  return Buffer.from([0x80 | bytes.length, ...bytes]);
}

export const toSequence = (...items: readonly Uint8Array[]): Buffer => toTlv(0x30, ...items);
export const toSet = (...items: readonly Uint8Array[]): Buffer => toTlv(0x31, ...items);
export const toOctetString = (bytes: Uint8Array): Buffer => toTlv(0x04, bytes);
export const toUtf8String = (text: string): Buffer => toTlv(0x0c, Buffer.from(text, 'utf8'));
export const toBoolean = (value: boolean): Buffer => toTlv(0x01, Buffer.from([value ? 0xff : 0]));
/** `[number]`, constructed. */
export const toExplicit = (number: number, ...items: readonly Uint8Array[]): Buffer => toTlv(0xa0 | number, ...items);
/** `[number]` in place of the tag of a primitive. */
export const toImplicit = (number: number, bytes: Uint8Array): Buffer => toTlv(0x80 | number, bytes);

/** A non-negative integer, from its big-endian bytes. */
export function toInteger(bytes: Uint8Array): Buffer {
  let start = 0;
  while (start < bytes.length - 1 && bytes[start] === 0) start += 1;
  const trimmed = bytes.subarray(start);
  const sign = (trimmed[0] ?? 0) >= 0x80 ? Buffer.from([0]) : Buffer.alloc(0);
  return toTlv(0x02, sign, trimmed);
}

export function toBitString(bytes: Uint8Array, unusedBits = 0): Buffer {
  return toTlv(0x03, Buffer.from([unusedBits]), bytes);
}

export function toObjectId(dotted: string): Buffer {
  const [first = 0, second = 0, ...rest] = dotted.split('.').map(Number);
  const bytes: number[] = [first * 40 + second];
  for (const number of rest) {
    const groups: number[] = [number & 0x7f];
    for (let left = number >>> 7; left > 0; left >>>= 7) groups.unshift((left & 0x7f) | 0x80);
    bytes.push(...groups);
  }
  return toTlv(0x06, Buffer.from(bytes));
}

/** RFC 5280 4.1.2.5: UTCTime until 2049, GeneralizedTime from 2050 on; whole seconds. */
export function toTime(milliseconds: number): Buffer {
  const text = new Date(milliseconds).toISOString().replaceAll(/[-:T]|\.\d+/g, '');
  return text < '2050' ? toTlv(0x17, Buffer.from(text.slice(2))) : toTlv(0x18, Buffer.from(text));
}
