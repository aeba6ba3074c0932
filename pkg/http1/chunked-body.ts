import { BACKSLASH, CR, EQUALS, hexValue, HTAB, LF, QUOTE, SEMICOLON, SP, textByte, tokenLower } from './bytes.ts';
import { keptTrailers } from './forward-head.ts';
import { FieldLines } from './head.ts';
import { field, mask } from './field-names.ts';
import { HeadScanner, SCAN_MORE, SCAN_REFUSED } from './head-scanner.ts';
import type { Limits } from './limits.ts';
import type { RefusalReason } from './refusal.ts';

const SIZE_FIRST = 0;
const SIZE = 1;
const EXTENSION_NAME = 2;
const EXTENSION_VALUE = 3;
const EXTENSION_QUOTED = 4;
const EXTENSION_ESCAPE = 5;
const EXTENSION_AFTER_QUOTE = 6;
const SIZE_LF = 7;
const DATA = 8;
const DATA_CR = 9;
const DATA_LF = 10;
const TRAILERS = 11;
const DONE = 12;
const REFUSED = 13;

/** 2^52 bytes in one chunk are never meant; leading zeros count as digits. */
const MAX_DIGITS = 13;

/** `wire`: valid chunked framing, to be forwarded. `data`: what the chunks hold. */
export type ChunkedOutput = 'wire' | 'data';

/** Fields that would change a message's framing or address from behind; they refuse the message. */
const forbiddenTrailers = mask(field.contentLength, field.transferEncoding, field.host);

/**
 * Validates a chunked body in place (RFC 9112 §7.1). In `wire` mode the input is handed on as slices of itself, as long
 * as possible; size lines that were cut by the input's end or carry extensions are written anew without them, and so
 * is the end when there are trailers, so that what is handed on is one plain valid chunked body however it came.
 */
export class ChunkedBody {
  /** What `next` found: at most one slice per call. */
  slice: Buffer | undefined;
  refusal: RefusalReason = 'chunkSize';
  /** The trailer section, once done; undefined when it was empty. */
  trailers: FieldLines | undefined;

  readonly #limits: Limits;
  readonly #output: ChunkedOutput;
  #state = SIZE_FIRST;
  #size = 0;
  #digits = 0;
  #left = 0;
  #extensionBytes = 0;
  /** Bytes of the current name or value of an extension. */
  #nameBytes = 0;
  /** The current size line can't be handed on as it is. */
  #rewrite = false;
  #scanner: HeadScanner | undefined;

  constructor(limits: Limits, output: ChunkedOutput) {
    this.#limits = limits;
    this.#output = output;
  }

  get done(): boolean {
    return this.#state === DONE;
  }

  get refused(): boolean {
    return this.#state === REFUSED;
  }

  /**
   * Reads on in `input[from, end)` and returns the index up to which it has read; `slice` holds what is to be handed
   * on, if anything. Call again while it is neither done nor refused and bytes are left.
   */
  next(input: Buffer, from: number, end: number): number {
    this.slice = undefined;
    return this.#output === 'wire' ? this.#nextWire(input, from, end) : this.#nextData(input, from, end);
  }

  #nextData(input: Buffer, from: number, end: number): number {
    let pos = from;
    while (pos < end && this.#state < DONE) {
      if (this.#state === DATA) {
        const start = pos;
        pos = this.#skipData(pos, end);
        this.slice = cut(input, start, pos);
        return pos;
      }
      pos = this.#state === TRAILERS ? this.#readTrailers(input, pos, end) : this.#readFraming(input, pos, end);
    }
    return pos;
  }

  #nextWire(input: Buffer, from: number, end: number): number {
    // The run [from, pos) can be handed on as it is; the current size line began at lineStart.
    let pos = from;
    let lineStart = from;
    if (this.#inSizeLine) this.#rewrite = true;
    while (pos < end) {
      if (this.#state === DATA) {
        pos = this.#skipData(pos, end);
        continue;
      }
      if (this.#state === TRAILERS) return this.#endWire(input, pos, end);
      if (this.#state === SIZE_FIRST) lineStart = pos;
      pos = this.#readFraming(input, pos, end);
      if (this.#state === REFUSED) return pos;
      if (this.#state === TRAILERS) {
        const plainEnd = !this.#rewrite && input[pos] === CR && input[pos + 1] === LF && pos + 2 <= end;
        if (plainEnd) this.#state = DONE;
        if (plainEnd) pos += 2;
        this.slice = cut(input, from, plainEnd ? pos : lineStart);
        return pos;
      }
      if (this.#state === DATA && this.#rewrite) {
        this.#rewrite = false;
        this.slice = join(input, from, lineStart, `${this.#size.toString(16)}\r\n`);
        return pos;
      }
    }
    // What is cut inside a size line waits until that line is complete.
    this.slice = cut(input, from, this.#inSizeLine ? lineStart : pos);
    return pos;
  }

  get #inSizeLine(): boolean {
    return this.#state > SIZE_FIRST && this.#state <= SIZE_LF;
  }

  /** Reads the trailer section; the last chunk and what is kept of the trailers are written anew. */
  #endWire(input: Buffer, from: number, end: number): number {
    const pos = this.#readTrailers(input, from, end);
    if (this.#state !== DONE) return pos;
    const kept = this.trailers === undefined ? '' : keptTrailers(this.trailers);
    this.slice = Buffer.from(`0\r\n${kept}\r\n`, 'latin1');
    return pos;
  }

  #skipData(pos: number, end: number): number {
    const taken = Math.min(this.#left, end - pos);
    this.#left -= taken;
    if (this.#left === 0) this.#state = DATA_CR;
    return pos + taken;
  }

  #readTrailers(input: Buffer, from: number, end: number): number {
    const { trailerBytes, trailerCount } = this.#limits;
    this.#scanner ??= new HeadScanner({
      bytes: trailerBytes,
      count: trailerCount,
      startLineBytes: 0,
    });
    const after = this.#scanner.scan(input, from, end);
    if (after === SCAN_MORE) return end;
    if (after === SCAN_REFUSED) return this.#refuse(this.#scanner.refusal, from);
    if ((this.#scanner.mask & forbiddenTrailers) !== 0) return this.#refuse('trailer', from);
    if (this.#scanner.fields.length > 0) this.trailers = new FieldLines(this.#scanner);
    this.#state = DONE;
    return after;
  }

  #refuse(reason: RefusalReason, pos: number): number {
    this.refusal = reason;
    this.#state = REFUSED;
    return pos;
  }

  /** Reads on to the end of a size line or of the line end behind data; stops where the state leaves framing. */
  #readFraming(input: Buffer, from: number, end: number): number {
    let pos = from;
    while (pos < end) {
      const byte = input[pos]!;
      switch (this.#state) {
        case SIZE_FIRST:
        case SIZE: {
          const digit = hexValue[byte]!;
          if (digit >= 0) {
            if (this.#digits === MAX_DIGITS) return this.#refuse('chunkSize', pos);
            this.#size = this.#size * 16 + digit;
            this.#digits++;
            this.#state = SIZE;
          } else if (this.#state === SIZE_FIRST) return this.#refuse('chunkSize', pos);
          else if (byte === CR) this.#state = SIZE_LF;
          else if (byte === SEMICOLON) this.#beginExtension();
          else return this.#refuse('chunkSize', pos);
          break;
        }
        case SIZE_LF:
          if (byte !== LF) return this.#refuse('bareLineEnd', pos);
          this.#left = this.#size;
          this.#state = this.#size === 0 ? TRAILERS : DATA;
          this.#digits = 0;
          return pos + 1;
        case DATA_CR:
          if (byte !== CR) return this.#refuse('chunkEnd', pos);
          this.#state = DATA_LF;
          break;
        case DATA_LF:
          if (byte !== LF) return this.#refuse('chunkEnd', pos);
          this.#state = SIZE_FIRST;
          this.#size = 0;
          return pos + 1;
        default:
          if (!this.#readExtension(byte)) return this.#refuse('chunkExtension', pos);
      }
      pos++;
    }
    return pos;
  }

  #beginExtension(): void {
    this.#rewrite = true;
    this.#extensionBytes++;
    this.#state = EXTENSION_NAME;
    this.#nameBytes = 0;
  }

  /** `;name`, `;name=token` or `;name="quoted"`, without blanks. False: not so. */
  #readExtension(byte: number): boolean {
    if (++this.#extensionBytes > this.#limits.chunkExtensionBytes) return false;
    const state = this.#state;
    if (state === EXTENSION_QUOTED) {
      if (byte === QUOTE) this.#state = EXTENSION_AFTER_QUOTE;
      else if (byte === BACKSLASH) this.#state = EXTENSION_ESCAPE;
      else return isQuotable(byte);
      return true;
    }
    if (state === EXTENSION_ESCAPE) {
      this.#state = EXTENSION_QUOTED;
      return isQuotable(byte);
    }
    if (state !== EXTENSION_AFTER_QUOTE && tokenLower[byte] !== 0) {
      this.#nameBytes++;
      return true;
    }
    const empty = state !== EXTENSION_AFTER_QUOTE && this.#nameBytes === 0;
    if (byte === QUOTE && state === EXTENSION_VALUE && empty) {
      this.#state = EXTENSION_QUOTED;
      return true;
    }
    if (empty) return false;
    this.#nameBytes = 0;
    if (byte === EQUALS && state === EXTENSION_NAME) this.#state = EXTENSION_VALUE;
    else if (byte === SEMICOLON) this.#state = EXTENSION_NAME;
    else if (byte === CR) this.#state = SIZE_LF;
    else return false;
    return true;
  }
}

function isQuotable(byte: number): boolean {
  return textByte[byte] === 1 || byte === HTAB || byte === SP;
}

function cut(input: Buffer, start: number, end: number): Buffer | undefined {
  if (start === end) return undefined;
  return start === 0 && end === input.length ? input : input.subarray(start, end);
}

function join(input: Buffer, start: number, end: number, text: string): Buffer {
  const out = Buffer.allocUnsafe(end - start + text.length);
  input.copy(out, 0, start, end);
  out.write(text, end - start, 'latin1');
  return out;
}
