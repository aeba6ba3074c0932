/**
 * The wire format of protobuf, as little of it as ADS needs (protobuf.dev, "Encoding"). The few messages of ADS are
 * written by hand on top of it: what thousands of streams exchange is never turned into objects and back.
 */

export class WireError extends Error {
  override readonly name = 'WireError';
}

/** Reads the fields of one message; throws WireError on anything malformed. */
export class WireReader {
  readonly #bytes: Buffer;
  #position = 0;
  #wireType = 0;

  constructor(bytes: Buffer) {
    this.#bytes = bytes;
  }

  /** Where the next field starts. */
  get position(): number {
    return this.#position;
  }

  /** The number of the next field, 0 at the end. */
  next(): number {
    if (this.#position >= this.#bytes.length) return 0;
    const tag = this.varint();
    this.#wireType = tag & 7;
    const field = Math.floor(tag / 8);
    if (field === 0) throw new WireError('field number 0');
    return field;
  }

  varint(): number {
    let value = 0;
    let factor = 1;
    for (let i = 0; i < 10; i++) {
      const byte = this.#bytes[this.#position++];
      if (byte === undefined) throw new WireError('truncated varint');
      // Beyond 53 bits the value is rounded: lengths and tags that large are refused by their users.
      value += (byte & 0x7f) * factor;
      if (byte < 0x80) return value;
      factor *= 128;
    }
    throw new WireError('varint of more than 10 bytes');
  }

  /** A view into the message, not a copy. */
  bytes(): Buffer {
    if (this.#wireType !== 2) throw new WireError(`wire type ${this.#wireType} where 2 was expected`);
    const length = this.varint();
    const end = this.#position + length;
    if (end > this.#bytes.length) throw new WireError('truncated field');
    const slice = this.#bytes.subarray(this.#position, end);
    this.#position = end;
    return slice;
  }

  string(): string {
    return this.bytes().toString('utf8');
  }

  skip(): void {
    switch (this.#wireType) {
      case 0:
        this.varint();
        return;
      case 1:
        this.#advance(8);
        return;
      case 2:
        this.#advance(this.varint());
        return;
      case 5:
        this.#advance(4);
        return;
      default:
        throw new WireError(`wire type ${this.#wireType}`);
    }
  }

  #advance(count: number): void {
    this.#position += count;
    if (this.#position > this.#bytes.length) throw new WireError('truncated field');
  }
}

/** How many bytes an unsigned integer of at most 53 bits takes. */
function sizeOfVarint(value: number): number {
  let size = 1;
  for (let rest = value; rest >= 0x80; rest = Math.floor(rest / 0x80)) size++;
  return size;
}

/** Gives the place behind it. */
function writeVarint(bytes: Buffer, start: number, value: number): number {
  let [at, rest] = [start, value];
  for (; rest >= 0x80; rest = Math.floor(rest / 0x80)) bytes[at++] = (rest % 0x80) + 0x80;
  bytes[at++] = rest;
  return at;
}

/** The bytes of an unsigned integer of at most 53 bits. */
export function toVarint(value: number): Buffer {
  const bytes = Buffer.allocUnsafe(sizeOfVarint(value));
  writeVarint(bytes, 0, value);
  return bytes;
}

export function toBytesField(field: number, value: Uint8Array): Buffer {
  const tag = field * 8 + 2;
  const bytes = Buffer.allocUnsafe(sizeOfVarint(tag) + sizeOfVarint(value.length) + value.length);
  bytes.set(value, writeVarint(bytes, writeVarint(bytes, 0, tag), value.length));
  return bytes;
}

/** Tag and length of a field whose value follows. */
export function toFieldHead(field: number, length: number): Buffer {
  const tag = field * 8 + 2;
  const bytes = Buffer.allocUnsafe(sizeOfVarint(tag) + sizeOfVarint(length));
  writeVarint(bytes, writeVarint(bytes, 0, tag), length);
  return bytes;
}

/** An empty string is the default of proto3, and is left out. */
export function toStringField(field: number, value: string): Buffer {
  return value === '' ? Buffer.alloc(0) : toBytesField(field, Buffer.from(value, 'utf8'));
}

export function toVarintField(field: number, value: number): Buffer {
  return value === 0 ? Buffer.alloc(0) : Buffer.concat([toVarint(field * 8), toVarint(value)]);
}
