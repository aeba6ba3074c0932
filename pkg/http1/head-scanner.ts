import { COLON, CR, HTAB, LF, SP, textByte, tokenLower } from './bytes.ts';
import { bit, hashStep, lookUpField } from './field-names.ts';
import type { RefusalReason } from './refusal.ts';

/** Numbers kept per field line: start and end of the name, start and end of the value, number of the name. */
export const FIELD_WIDTH = 5;

const START_LINE = 0;
const START_LF = 1;
const LINE = 2;
const NAME = 3;
const VALUE_START = 4;
const VALUE = 5;
const VALUE_LF = 6;
const END_LF = 7;

export interface ScannerBounds {
  readonly bytes: number;
  readonly count: number;
  /** 0: no start line, as in a trailer section. */
  readonly startLineBytes: number;
}

/** What `scan` found. */
export const SCAN_MORE = -1;
export const SCAN_REFUSED = -2;

/**
 * Finds the lines of one head (or trailer section) in one pass, byte by byte, wherever the input is cut; bytes are
 * copied only when a head is cut. Offsets in `fields` are relative to the first byte of the head.
 */
export class HeadScanner {
  fields: number[] = [];
  /** Which known fields are there (`field-names.ts`). */
  mask = 0;
  /** Every line is `Name: value` or `Name:value` with nothing behind the value: it can be forwarded as it stands. */
  plain = true;
  /** Length of the start line, without its line end. */
  startLineLength = 0;
  /** The whole section, once `scan` has ended well; latin1, one character per byte. */
  text = '';
  refusal: RefusalReason = 'startLine';

  readonly #bounds: ScannerBounds;
  #state: number;
  #hash = 0;
  #nameStart = 0;
  #nameEnd = 0;
  #valueStart = 0;
  /** A head that came in pieces, and how much of it is there. */
  #pieces: Buffer | undefined;
  #length = 0;
  /** Where to go on in `#pieces`. */
  #position = 0;

  constructor(bounds: ScannerBounds) {
    this.#bounds = bounds;
    this.#state = bounds.startLineBytes > 0 ? START_LINE : LINE;
  }

  /** True when bytes of a section have come that isn't complete. */
  get begun(): boolean {
    return this.#length > 0;
  }

  /** Makes it ready for the next section. What was found stays with those who took it. */
  reset(): void {
    this.fields = [];
    this.mask = 0;
    this.plain = true;
    this.#state = this.#bounds.startLineBytes > 0 ? START_LINE : LINE;
    this.#pieces = undefined;
    this.#length = 0;
    this.#position = 0;
  }

  /** Reads `input[from, end)`: index behind the section, `SCAN_MORE` when it isn't complete, or `SCAN_REFUSED`. */
  scan(input: Buffer, from: number, end: number): number {
    if (this.#length > 0) return this.#scanPieces(input, from, end);
    const after = this.#run(input, from, from, end);
    if (after === SCAN_MORE) {
      this.#position -= from;
      this.#append(input, from, end);
    }
    return after;
  }

  #scanPieces(input: Buffer, from: number, end: number): number {
    const before = this.#length;
    // One byte more than allowed is enough to see that it is too much.
    const taken = Math.min(end, from + this.#bounds.bytes + 1 - before);
    this.#append(input, from, taken);
    const after = this.#run(this.#pieces!, 0, this.#position, this.#length);
    return after < 0 ? after : from + after - before;
  }

  #append(input: Buffer, from: number, end: number): void {
    const needed = this.#length + end - from;
    if (this.#pieces === undefined || this.#pieces.length < needed) {
      const grown = Buffer.allocUnsafeSlow(Math.max(1024, needed * 2));
      this.#pieces?.copy(grown, 0, 0, this.#length);
      this.#pieces = grown;
    }
    input.copy(this.#pieces, this.#length, from, end);
    this.#length = needed;
  }

  #refuse(reason: RefusalReason): number {
    this.refusal = reason;
    return SCAN_REFUSED;
  }

  #run(bytes: Buffer, base: number, from: number, available: number): number {
    const end = Math.min(available, base + this.#bounds.bytes);
    let pos = from;
    let state = this.#state;
    while (pos < end) {
      if (state === VALUE) {
        while (pos < end && textByte[bytes[pos]!] === 1) pos++;
        if (pos === end) break;
        if (bytes[pos] !== CR) return this.#refuse(bytes[pos] === LF ? 'bareLineEnd' : 'fieldValue');
        this.#takeField(bytes, base, pos);
        state = VALUE_LF;
        pos++;
      } else if (state === NAME) {
        let hash = this.#hash;
        while (pos < end) {
          const lower = tokenLower[bytes[pos]!]!;
          if (lower === 0) break;
          hash = hashStep(hash, lower);
          pos++;
        }
        this.#hash = hash;
        if (pos === end) break;
        if (bytes[pos] !== COLON || pos === this.#nameStart + base) return this.#refuse('fieldName');
        this.#nameEnd = pos - base;
        state = VALUE_START;
        pos++;
      } else if (state === VALUE_START) {
        while (pos < end && (bytes[pos] === SP || bytes[pos] === HTAB)) pos++;
        if (pos === end) break;
        this.#valueStart = pos - base;
        state = VALUE;
      } else if (state === VALUE_LF) {
        if (bytes[pos] !== LF) return this.#refuse('bareLineEnd');
        state = LINE;
        pos++;
      } else if (state === LINE) {
        const byte = bytes[pos];
        if (byte === CR) {
          state = END_LF;
          pos++;
        } else {
          if (byte === SP || byte === HTAB) return this.#refuse('fieldFolded');
          if (this.fields.length === this.#bounds.count * FIELD_WIDTH) return this.#refuse('tooManyFields');
          this.#nameStart = pos - base;
          this.#hash = 0;
          state = NAME;
        }
      } else if (state === START_LINE) {
        const last = Math.min(end, base + this.#bounds.startLineBytes);
        while (pos < last && textByte[bytes[pos]!] === 1) pos++;
        if (pos === base + this.#bounds.startLineBytes) return this.#refuse('startLineTooLong');
        if (pos === end) break;
        if (bytes[pos] === LF) return this.#refuse('bareLineEnd');
        if (bytes[pos] !== CR || pos === base) return this.#refuse('startLine');
        this.startLineLength = pos - base;
        state = START_LF;
        pos++;
      } else if (state === START_LF) {
        if (bytes[pos] !== LF) return this.#refuse('bareLineEnd');
        state = LINE;
        pos++;
      } else {
        if (bytes[pos] !== LF) return this.#refuse('bareLineEnd');
        this.text = bytes.toString('latin1', base, pos + 1);
        return pos + 1;
      }
    }
    if (pos - base >= this.#bounds.bytes) return this.#refuse('headTooLarge');
    this.#state = state;
    this.#position = pos;
    return SCAN_MORE;
  }

  #takeField(bytes: Buffer, base: number, lineEnd: number): void {
    const { fields } = this;
    const nameStart = this.#nameStart;
    const nameEnd = this.#nameEnd;
    const valueStart = this.#valueStart;
    let valueEnd = lineEnd;
    while (valueEnd > valueStart + base && (bytes[valueEnd - 1] === SP || bytes[valueEnd - 1] === HTAB)) valueEnd--;
    if (valueEnd !== lineEnd || valueStart - nameEnd > 2 || bytes[base + nameEnd + 1] === HTAB) this.plain = false;
    const id = lookUpField(bytes, base + nameStart, base + nameEnd, this.#hash);
    this.mask |= bit(id);
    fields.push(nameStart, nameEnd, valueStart, valueEnd - base, id);
  }
}
