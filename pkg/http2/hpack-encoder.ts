import { staticIndex, staticLength } from './static-table.ts';

/** Kept out of every table on the way (RFC 7541 §7.1.3). */
const sensitive: ReadonlySet<string> = new Set(['authorization', 'proxy-authorization', 'cookie', 'set-cookie']);
const fieldOverhead = 32;
/** A name whose values are new this often, and more often than not, is not worth a place in the table. */
const trial = 8;
const maxNames = 256;
const longestIndexed = 512;
const ownTableSize = 4096;

interface NameUse {
  inserts: number;
  hits: number;
}

/**
 * Encodes the header blocks of one connection (RFC 7541). Strings go as they are: on a hop inside one machine or cluster
 * their bits cost less than coding them.
 */
export class HpackEncoder {
  /** By `name\0value`: the number of its insertion. */
  readonly #known = new Map<string, number>();
  readonly #uses = new Map<string, NameUse>();
  /** Oldest first: keys and sizes, from `#first` on. */
  #keys: string[] = [];
  #sizes: number[] = [];
  #first = 0;
  #dropped = 0;
  #size = 0;
  #capacity = ownTableSize;
  #sizeToTell = false;
  #out = Buffer.allocUnsafe(4096);
  #at = 0;

  /** The peer's SETTINGS_HEADER_TABLE_SIZE. */
  setTableSize(size: number): void {
    const capacity = Math.min(size, ownTableSize);
    if (capacity === this.#capacity) return;
    this.#capacity = capacity;
    this.#sizeToTell = true;
    this.#evict(0);
  }

  /** Valid until the next call. Names are lower case, pseudo fields first. */
  encode(fields: readonly string[]): Buffer {
    this.#at = 0;
    if (this.#sizeToTell) {
      this.#sizeToTell = false;
      this.#room(8);
      this.#integer(0x20, 0x1f, this.#capacity);
    }
    for (let i = 0; i + 1 < fields.length; i += 2) this.#field(fields[i] as string, fields[i + 1] as string);
    return this.#out.subarray(0, this.#at);
  }

  #field(name: string, value: string): void {
    this.#room(name.length + value.length + 32);
    const key = `${name}\0${value}`;
    const fixed = staticIndex.get(key);
    // A name without a value in the static table is there under the empty one.
    if (fixed !== undefined && value !== '') {
      this.#integer(0x80, 0x7f, fixed);
      return;
    }
    const insertion = this.#known.get(key);
    if (insertion !== undefined) {
      this.#noteHit(name);
      this.#integer(0x80, 0x7f, staticLength + this.#inserted - insertion);
      return;
    }
    const nameIndex = staticIndex.get(name) ?? 0;
    if (sensitive.has(name)) {
      this.#literal(0x10, 0x0f, nameIndex, name, value);
    } else if (this.#isWorthIndexing(name, value)) {
      this.#literal(0x40, 0x3f, nameIndex, name, value);
      this.#add(key, name.length + value.length + fieldOverhead);
    } else {
      this.#literal(0x00, 0x0f, nameIndex, name, value);
    }
  }

  get #inserted(): number {
    return this.#dropped + this.#keys.length - this.#first;
  }

  #noteHit(name: string): void {
    const use = this.#uses.get(name);
    if (use) use.hits++;
  }

  #isWorthIndexing(name: string, value: string): boolean {
    const size = name.length + value.length + fieldOverhead;
    if (size > longestIndexed || size > this.#capacity) return false;
    let use = this.#uses.get(name);
    if (use === undefined) {
      if (this.#uses.size >= maxNames) return false;
      this.#uses.set(name, (use = { inserts: 0, hits: 0 }));
    }
    if (use.inserts >= trial && use.hits < use.inserts) return false;
    use.inserts++;
    return true;
  }

  #add(key: string, size: number): void {
    this.#evict(size);
    this.#keys.push(key);
    this.#sizes.push(size);
    this.#size += size;
    this.#known.set(key, this.#inserted - 1);
  }

  #evict(size: number): void {
    while (this.#size + size > this.#capacity && this.#first < this.#keys.length) {
      const key = this.#keys[this.#first] as string;
      this.#size -= this.#sizes[this.#first] as number;
      if (this.#known.get(key) === this.#dropped) this.#known.delete(key);
      this.#first++;
      this.#dropped++;
    }
    if (this.#first > 256) {
      this.#keys = this.#keys.slice(this.#first);
      this.#sizes = this.#sizes.slice(this.#first);
      this.#first = 0;
    }
  }

  #literal(pattern: number, mask: number, nameIndex: number, name: string, value: string): void {
    this.#integer(pattern, mask, nameIndex);
    if (nameIndex === 0) this.#string(name);
    this.#string(value);
  }

  #string(text: string): void {
    this.#integer(0, 0x7f, text.length);
    this.#at += this.#out.write(text, this.#at, 'latin1');
  }

  #integer(pattern: number, mask: number, value: number): void {
    const out = this.#out;
    if (value < mask) {
      out[this.#at++] = pattern | value;
      return;
    }
    out[this.#at++] = pattern | mask;
    let rest = value - mask;
    for (; rest >= 0x80; rest = Math.floor(rest / 0x80)) out[this.#at++] = (rest % 0x80) | 0x80;
    out[this.#at++] = rest;
  }

  #room(bytes: number): void {
    if (this.#at + bytes <= this.#out.length) return;
    const larger = Buffer.allocUnsafe(Math.max(2 * this.#out.length, this.#at + bytes));
    this.#out.copy(larger, 0, 0, this.#at);
    this.#out = larger;
  }
}
