import { ConnectionError, errorCode } from './error-codes.ts';
import { decodeHuffman } from './huffman.ts';
import { staticLength, staticNames, staticValues } from './static-table.ts';

/** A header block as it was understood. The table is kept right whatever was wrong with it. */
export interface HeaderBlock {
  /** Name, value, name, value, …; what is over the limits is left out. */
  readonly fields: string[];
  /** More fields, or more bytes, than allowed. */
  readonly overflow: boolean;
  /** A name or value that HTTP/2 does not allow (RFC 9113 §8.2.1). */
  readonly malformed: boolean;
}

export interface HeaderLimits {
  /** Bytes of all names and values, 32 more for each field (SETTINGS_MAX_HEADER_LIST_SIZE). */
  readonly bytes: number;
  readonly fields: number;
}

/** Per field, in tables and in limits (RFC 7541 §4.1). */
const fieldOverhead = 32;
/** RFC 9110 §5.6.2, in lower case; a colon leads pseudo fields. */
const namePattern = /^:?[!#$%&'*+\-.^_`|~0-9a-z]+$/;
const badValue = /[\0-\x08\x0a-\x1f\x7f]|^[ \t]|[ \t]$/;

interface Entry {
  readonly name: string;
  readonly value: string;
  readonly goodName: boolean;
  readonly good: boolean;
}

/** Decodes the header blocks of one connection, in their order (RFC 7541). */
export class HpackDecoder {
  readonly #limits: HeaderLimits;
  readonly #allowed: number;
  /** Oldest first, from `#first` on. */
  #entries: Entry[] = [];
  #first = 0;
  #size = 0;
  #capacity: number;
  #bytes: Buffer = Buffer.alloc(0);
  #at = 0;
  #good = true;

  /** `tableSize`: what our SETTINGS allow the peer. */
  constructor(limits: HeaderLimits, tableSize = 4096) {
    this.#limits = limits;
    this.#allowed = tableSize;
    this.#capacity = tableSize;
  }

  /** Throws a ConnectionError when the block can't be read: both tables are out of step then. */
  decode(block: Buffer): HeaderBlock {
    const fields: string[] = [];
    const limits = this.#limits;
    let listSize = 0;
    let overflow = false;
    let sizeMayChange = true;
    this.#bytes = block;
    this.#at = 0;
    this.#good = true;
    while (this.#at < block.length) {
      const first = block[this.#at] as number;
      let name: string;
      let value: string;
      if (first >= 0x80) {
        const index = this.#integer(0x7f);
        if (index === 0) fail('index 0');
        if (index <= staticLength) {
          name = staticNames[index] as string;
          value = staticValues[index] as string;
        } else {
          const entry = this.#entry(index);
          if (!entry.good) this.#good = false;
          ({ name, value } = entry);
        }
      } else if (first >= 0x20 && first < 0x40) {
        if (!sizeMayChange) fail('a change of the table inside of a block');
        const size = this.#integer(0x1f);
        if (size > this.#allowed) fail('a table that is too large');
        this.#capacity = size;
        this.#evict(0);
        continue;
      } else {
        const indexed = first >= 0x40;
        const index = this.#integer(indexed ? 0x3f : 0x0f);
        let goodName = true;
        if (index === 0) {
          name = this.#string();
          goodName = namePattern.test(name);
        } else if (index <= staticLength) {
          name = staticNames[index] as string;
        } else {
          const entry = this.#entry(index);
          ({ name, goodName } = entry);
        }
        value = this.#string();
        const good = goodName && !badValue.test(value);
        if (!good) this.#good = false;
        if (indexed) this.#add({ name, value, goodName, good });
      }
      sizeMayChange = false;
      listSize += name.length + value.length + fieldOverhead;
      if (listSize > limits.bytes || fields.length >= 2 * limits.fields) overflow = true;
      else fields.push(name, value);
    }
    return { fields, overflow, malformed: !this.#good };
  }

  #entry(index: number): Entry {
    const entry = this.#entries[this.#entries.length - (index - staticLength)];
    const length = this.#entries.length - this.#first;
    if (entry === undefined || index - staticLength > length) fail('an index beyond the table');
    return entry;
  }

  #add(entry: Entry): void {
    const size = entry.name.length + entry.value.length + fieldOverhead;
    this.#evict(size);
    if (size > this.#capacity) return;
    this.#entries.push(entry);
    this.#size += size;
  }

  /** Makes room. */
  #evict(size: number): void {
    while (this.#size + size > this.#capacity && this.#first < this.#entries.length) {
      const { name, value } = this.#entries[this.#first++] as Entry;
      this.#size -= name.length + value.length + fieldOverhead;
    }
    if (this.#first > 256) {
      this.#entries = this.#entries.slice(this.#first);
      this.#first = 0;
    }
  }

  /** RFC 7541 §5.1; `mask`: the bits of the prefix. */
  #integer(mask: number): number {
    const bytes = this.#bytes;
    let value = (bytes[this.#at++] as number) & mask;
    if (value < mask) return value;
    for (let shift = 0; ; shift += 7) {
      const byte = bytes[this.#at++];
      if (byte === undefined || shift > 21) fail('an integer that is too long');
      value += (byte & 0x7f) * 2 ** shift;
      if (byte < 0x80) return value;
    }
  }

  #string(): string {
    const bytes = this.#bytes;
    if (this.#at >= bytes.length) fail('a block that is cut off');
    const huffman = (bytes[this.#at] as number) >= 0x80;
    const length = this.#integer(0x7f);
    const start = this.#at;
    const end = start + length;
    if (end > bytes.length) fail('a string that is cut off');
    this.#at = end;
    return huffman ? decodeHuffman(bytes, start, end) : bytes.toString('latin1', start, end);
  }
}

function fail(what: string): never {
  throw new ConnectionError(errorCode.compressionError, `header block: ${what}`);
}
