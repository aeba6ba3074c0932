import { CR, LF } from './bytes.ts';
import { ChunkedBody } from './chunked-body.ts';
import type { ChunkedOutput } from './chunked-body.ts';
import type { FieldLines, MessageHead } from './head.ts';
import { HeadScanner, SCAN_MORE, SCAN_REFUSED } from './head-scanner.ts';
import type { Limits } from './limits.ts';
import type { RefusalReason } from './refusal.ts';

/** What `next` found. Numbers, since it is asked several times per message. */
export const event = {
  /** All input is used up: `push` more, or `finish`. */
  more: 0,
  /** `head` is there. A body or `end` follows (but for an interim response: then the next head). */
  head: 1,
  /** `body` holds the next bytes to hand on. */
  body: 2,
  /** The message is complete. */
  end: 3,
  /** The bytes are no message: `refusal` says why. Final. */
  refused: 4,
  /** The bytes behind may belong to another protocol: `takeRest`, or `resume` to go on with HTTP. */
  paused: 5,
} as const;
export type ParserEvent = (typeof event)[keyof typeof event];

const HEAD = 0;
const BODY_LENGTH = 1;
const BODY_CHUNKED = 2;
const BODY_CLOSE = 3;
const END = 4;
const PAUSED = 5;
const CLOSED = 6;
const REFUSED = 7;

const nothing = Buffer.alloc(0);

/** Empty lines before a request that are passed over (RFC 9112 §2.2). */
const MAX_BLANK_LINES = 2;

/**
 * Takes messages off a connection, pull by pull: `push` input when `next` says `more`; between pulls nothing is read,
 * so a caller that stops pulling holds the connection back. Bytes of bodies are handed on without a copy.
 */
export abstract class MessageParser<H extends MessageHead> {
  head: H | undefined;
  body: Buffer = nothing;
  refusal: RefusalReason = 'startLine';
  /** What chunked bodies are handed on as; read when a body begins. */
  chunkedOutput: ChunkedOutput = 'wire';

  protected readonly limits: Limits;
  readonly #scanner: HeadScanner;
  readonly #skipsBlankLines: boolean;
  #blankBytes = 0;
  #input: Buffer = nothing;
  #at = 0;
  #state = HEAD;
  #left = 0;
  #chunked: ChunkedBody | undefined;
  #last = false;

  constructor(limits: Limits, skipsBlankLines: boolean) {
    this.limits = limits;
    this.#skipsBlankLines = skipsBlankLines;
    this.#scanner = new HeadScanner({
      bytes: limits.headBytes,
      count: limits.headerCount,
      startLineBytes: limits.startLineBytes,
    });
  }

  /** Meaning of a scanned head. */
  protected abstract decodeHead(scanner: HeadScanner): H | RefusalReason;

  /** The head is one of several before the real one. */
  protected isInterim(_head: H): boolean {
    return false;
  }

  /** The bytes behind the head may not be HTTP. */
  protected abstract mayPause(head: H): boolean;

  /** A head may come now. */
  protected mayBegin(): boolean {
    return true;
  }

  /** Nothing of a message has come that isn't finished. */
  get idle(): boolean {
    return this.#state === HEAD && !this.#scanner.begun && this.#at === this.#input.length;
  }

  /** Bytes are waiting to be pulled. */
  get buffered(): boolean {
    return this.#at < this.#input.length;
  }

  /** The head of the next message has come in part. */
  get inHead(): boolean {
    return this.#state === HEAD && (this.#scanner.begun || this.buffered);
  }

  /** Trailers of the message that has just ended; undefined when there are none. */
  get trailers(): FieldLines | undefined {
    return this.#chunked?.trailers;
  }

  /** Gives input. What an earlier push left over is put in front. The bytes must not change until they are used up. */
  push(chunk: Buffer): void {
    this.#input = this.buffered ? Buffer.concat([this.#input.subarray(this.#at), chunk]) : chunk;
    this.#at = 0;
  }

  next(): ParserEvent {
    switch (this.#state) {
      case HEAD:
        return this.#nextHead();
      case BODY_LENGTH:
        return this.#nextOfLength();
      case BODY_CHUNKED:
        return this.#nextOfChunked();
      case BODY_CLOSE:
        return this.buffered ? this.#handOn(this.#input.length) : event.more;
      case END:
        return this.#endMessage();
      case CLOSED:
        return this.buffered ? this.#refuse('dataAfterClose') : event.more;
      case PAUSED:
        return event.paused;
      default:
        return event.refused;
    }
  }

  /** The connection has ended: `end` when that completes a body, `more` when nothing was open, else `refused`. */
  finish(): ParserEvent {
    if (this.#state === BODY_CLOSE) {
      this.#state = CLOSED;
      return event.end;
    }
    if (this.#state === CLOSED || (this.#state === HEAD && !this.#scanner.begun)) return event.more;
    return this.#refuse('truncated');
  }

  /** After `paused`: the other protocol was declined, HTTP goes on. */
  resume(): void {
    if (this.#state === PAUSED) this.#state = this.#last ? CLOSED : HEAD;
  }

  /** What isn't read yet; the parser is of no more use. */
  takeRest(): Buffer {
    const rest = this.#input.subarray(this.#at);
    this.#input = nothing;
    this.#at = 0;
    this.#state = CLOSED;
    return rest;
  }

  #nextHead(): ParserEvent {
    if (this.#skipsBlankLines && !this.#scanner.begun) {
      const verdict = this.#skipBlankLines();
      if (verdict !== undefined) return verdict;
    }
    if (!this.buffered) return event.more;
    if (!this.mayBegin()) return this.#refuse('unexpectedResponse');
    const scanner = this.#scanner;
    const after = scanner.scan(this.#input, this.#at, this.#input.length);
    if (after === SCAN_MORE) {
      this.#at = this.#input.length;
      return event.more;
    }
    if (after === SCAN_REFUSED) return this.#refuse(scanner.refusal);
    this.#at = after;
    const head = this.decodeHead(scanner);
    if (typeof head === 'string') return this.#refuse(head);
    scanner.reset();
    this.#blankBytes = 0;
    this.head = head;
    this.#begin(head);
    return event.head;
  }

  /** Passes over empty lines; an event when the next head can't be read yet, or never. */
  #skipBlankLines(): ParserEvent | undefined {
    while (this.buffered) {
      const byte = this.#input[this.#at];
      if (byte !== CR && byte !== LF) {
        return this.#blankBytes % 2 === 0 ? undefined : this.#refuse('bareLineEnd');
      }
      if (byte !== (this.#blankBytes % 2 === 0 ? CR : LF)) return this.#refuse('bareLineEnd');
      if (++this.#blankBytes > MAX_BLANK_LINES * 2) return this.#refuse('blankLines');
      this.#at++;
    }
    return event.more;
  }

  #begin(head: H): void {
    this.#chunked = undefined;
    if (this.isInterim(head)) return;
    this.#last = !head.keepAlive;
    switch (head.framing) {
      case 'none':
        this.#state = END;
        break;
      case 'length':
        this.#left = head.length;
        this.#state = head.length === 0 ? END : BODY_LENGTH;
        break;
      case 'chunked':
        this.#chunked = new ChunkedBody(this.limits, this.chunkedOutput);
        this.#state = BODY_CHUNKED;
        break;
      case 'close':
        this.#state = BODY_CLOSE;
    }
  }

  #endMessage(): ParserEvent {
    if (this.mayPause(this.head!)) this.#state = PAUSED;
    else this.#state = this.#last ? CLOSED : HEAD;
    return event.end;
  }

  #nextOfLength(): ParserEvent {
    if (!this.buffered) return event.more;
    const taken = Math.min(this.#left, this.#input.length - this.#at);
    this.#left -= taken;
    if (this.#left === 0) this.#state = END;
    return this.#handOn(this.#at + taken);
  }

  #handOn(end: number): ParserEvent {
    this.body = this.#at === 0 && end === this.#input.length ? this.#input : this.#input.subarray(this.#at, end);
    this.#at = end;
    return event.body;
  }

  #nextOfChunked(): ParserEvent {
    const chunked = this.#chunked!;
    if (chunked.done) {
      this.#state = END;
      return this.#endMessage();
    }
    while (this.buffered) {
      this.#at = chunked.next(this.#input, this.#at, this.#input.length);
      if (chunked.refused) return this.#refuse(chunked.refusal);
      if (chunked.slice !== undefined) {
        this.body = chunked.slice;
        return event.body;
      }
      if (chunked.done) {
        this.#state = END;
        return this.#endMessage();
      }
    }
    return event.more;
  }

  #refuse(reason: RefusalReason): ParserEvent {
    this.refusal = reason;
    this.#state = REFUSED;
    return event.refused;
  }
}
