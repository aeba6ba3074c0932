import { staticLength, staticNames, staticValues } from './static-table.ts';

/** Kept out of every table on the way (RFC 7541 §7.1.3). */
const sensitive: ReadonlySet<string> = new Set(['authorization', 'proxy-authorization', 'cookie', 'set-cookie']);
const fieldOverhead = 32;
/** A name whose values are new this often, and more often than not, is not worth a place in the table. */
const trial = 8;
/** It is tried again after so many times. */
const pause = 1000;
const maxNames = 256;
const longestIndexed = 512;
const ownTableSize = 4096;

/** A name, as the static table has it. */
interface StaticName {
  readonly index: number;
  /** Indexes by value. */
  readonly values: ReadonlyMap<string, number>;
}

/** A name that one connection has sent, and what of its values the table has. */
interface NameUse extends StaticName {
  readonly isSensitive: boolean;
  /** The number of the insertion, by value. */
  readonly known: Map<string, number>;
  inserts: number;
  hits: number;
  /** Times that it is still sent without looking at the table. */
  paused: number;
}

interface Insertion {
  readonly use: NameUse;
  readonly value: string;
  readonly size: number;
}

const staticUses = toStaticNames();

/**
 * Encodes the header blocks of one connection (RFC 7541). Strings go as they are: on a hop inside one machine or cluster
 * their bits cost less than coding them.
 */
export class HpackEncoder {
  readonly #uses = new Map<string, NameUse>();
  /** Oldest first, from `#first` on. */
  #insertions: Insertion[] = [];
  #first = 0;
  #dropped = 0;
  #size = 0;
  #capacity = ownTableSize;
  /** What the next block has to say of the size: the smallest since the last one, and then the one in force (§4.2). */
  #smallest: number | undefined;
  #out = Buffer.allocUnsafe(4096);
  #at = 0;

  /** The peer's SETTINGS_HEADER_TABLE_SIZE. */
  setTableSize(size: number): void {
    const capacity = Math.min(size, ownTableSize);
    if (capacity === this.#capacity) return;
    this.#capacity = capacity;
    this.#smallest = Math.min(this.#smallest ?? capacity, capacity);
    this.#evict(0);
  }

  /** Valid until the next call. Names are lower case, pseudo fields first. */
  encode(fields: readonly string[]): Buffer {
    this.#at = 0;
    if (this.#smallest !== undefined) {
      this.#room(16);
      if (this.#smallest < this.#capacity) this.#integer(0x20, 0x1f, this.#smallest);
      this.#integer(0x20, 0x1f, this.#capacity);
      this.#smallest = undefined;
    }
    for (let i = 0; i + 1 < fields.length; i += 2) this.#field(fields[i] as string, fields[i + 1] as string);
    return this.#out.subarray(0, this.#at);
  }

  #field(name: string, value: string): void {
    this.#room(name.length + value.length + 32);
    const use = this.#uses.get(name) ?? this.#addName(name);
    if (use === undefined) {
      this.#literal(0x00, 0x0f, 0, name, value);
      return;
    }
    const fixed = use.values.size > 0 ? use.values.get(value) : undefined;
    if (fixed !== undefined) {
      this.#integer(0x80, 0x7f, fixed);
      return;
    }
    if (use.paused > 0) {
      use.paused--;
      this.#literal(0x00, 0x0f, use.index, name, value);
      return;
    }
    const insertion = use.known.get(value);
    if (insertion !== undefined) {
      use.hits++;
      this.#integer(0x80, 0x7f, staticLength + this.#inserted - insertion);
    } else if (use.isSensitive) {
      this.#literal(0x10, 0x0f, use.index, name, value);
    } else if (this.#isWorthIndexing(use, name, value)) {
      this.#literal(0x40, 0x3f, use.index, name, value);
      this.#add({ use, value, size: name.length + value.length + fieldOverhead });
    } else {
      this.#literal(0x00, 0x0f, use.index, name, value);
    }
  }

  get #inserted(): number {
    return this.#dropped + this.#insertions.length - this.#first;
  }

  #addName(name: string): NameUse | undefined {
    const fixed = staticUses.get(name);
    if (fixed === undefined && this.#uses.size >= maxNames) return undefined;
    const { index, values } = fixed ?? unknownName;
    const use = { index, values, isSensitive: sensitive.has(name), known: new Map(), inserts: 0, hits: 0, paused: 0 };
    this.#uses.set(name, use);
    return use;
  }

  #isWorthIndexing(use: NameUse, name: string, value: string): boolean {
    const size = name.length + value.length + fieldOverhead;
    if (size > longestIndexed || size > this.#capacity) return false;
    if (use.inserts >= trial && use.hits < use.inserts) {
      use.paused = pause;
      use.inserts = 0;
      use.hits = 0;
      return false;
    }
    use.inserts++;
    return true;
  }

  #add(insertion: Insertion): void {
    this.#evict(insertion.size);
    this.#insertions.push(insertion);
    this.#size += insertion.size;
    insertion.use.known.set(insertion.value, this.#inserted - 1);
  }

  #evict(size: number): void {
    while (this.#size + size > this.#capacity && this.#first < this.#insertions.length) {
      const { use, value, size: freed } = this.#insertions[this.#first] as Insertion;
      use.known.delete(value);
      this.#size -= freed;
      this.#first++;
      this.#dropped++;
    }
    if (this.#first > 256) {
      this.#insertions = this.#insertions.slice(this.#first);
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

const unknownName: StaticName = { index: 0, values: new Map() };

/** The lowest index of each name; its values, where it has some. */
function toStaticNames(): ReadonlyMap<string, StaticName> {
  const names = new Map<string, { index: number; values: Map<string, number> }>();
  for (let index = 1; index <= staticLength; index++) {
    const name = staticNames[index] as string;
    let entry = names.get(name);
    if (!entry) names.set(name, (entry = { index, values: new Map() }));
    const value = staticValues[index] as string;
    if (value !== '') entry.values.set(value, index);
  }
  return names;
}
