import { ConnectionError, errorCode } from './error-codes.ts';
import { FrameReader } from './frame-reader.ts';
import { flag, frameType } from './frames.ts';

/** Requests and answers, in the pieces that frames make of them. */
export interface MessageEvents {
  /** `size`: what it counts in windows; the padding is not in `bytes`. */
  data(id: number, bytes: Buffer, size: number, end: boolean): void;
  /** A whole header block, encoded. */
  headerBlock(id: number, block: Buffer, end: boolean): void;
}

/** What the other frames of a peer say, each read by the rules of its type (RFC 9113 §6). */
export interface FrameEvents {
  reset(id: number, code: number): void;
  setting(id: number, value: number): void;
  /** All of one SETTINGS frame was told. */
  settingsEnd(): void;
  ping(payload: Buffer, ack: boolean): void;
  goaway(lastStream: number): void;
  windowUpdate(id: number, increment: number): void;
  /** A frame of a size that its stream does not allow. */
  wrongSize(id: number): void;
  /** A frame that says nothing to us. */
  idle(): void;
}

/** A header block may come in so many pieces. */
const maxContinuations = 32;

/** Reads the bytes of a peer; throws a ConnectionError where the connection can't go on. */
export class FrameDecoder {
  readonly #events: FrameEvents;
  readonly #messages: MessageEvents;
  readonly #maxBlock: number;
  readonly #reader: FrameReader;
  #settingsReceived = false;
  #block: { readonly id: number; readonly end: boolean; readonly parts: Buffer[]; bytes: number } | undefined;

  /** `maxBlock`: bytes of a header block, encoded. */
  constructor(role: 'client' | 'server', maxBlock: number, events: FrameEvents, messages: MessageEvents) {
    this.#events = events;
    this.#messages = messages;
    this.#maxBlock = maxBlock;
    this.#reader = new FrameReader(role, (...frame) => this.#frame(...frame));
  }

  /** In the middle of what a peer must not be slow with: its first words, a header block. */
  get halfway(): boolean {
    return !this.#settingsReceived || this.#block !== undefined;
  }

  push(chunk: Buffer): void {
    this.#reader.push(chunk);
  }

  stop(): void {
    this.#reader.stop();
  }

  #frame(type: number, flags: number, id: number, payload: Buffer): void {
    if (this.#block && (type !== frameType.continuation || id !== this.#block.id)) {
      protocolError('a header block is interrupted');
    }
    if (!this.#settingsReceived && type !== frameType.settings) protocolError('the first frame is not SETTINGS');
    switch (type) {
      case frameType.data:
        this.#data(flags, id, payload);
        return;
      case frameType.headers:
        this.#headers(flags, id, payload);
        return;
      case frameType.continuation:
        this.#continuation(flags, payload);
        return;
      case frameType.rstStream:
        this.#events.reset(id, uint32(payload, 4, 'RST_STREAM'));
        return;
      case frameType.settings:
        this.#settings(flags, id, payload);
        return;
      case frameType.ping:
        this.#ping(flags, id, payload);
        return;
      case frameType.goaway:
        this.#goaway(id, payload);
        return;
      case frameType.windowUpdate:
        this.#events.windowUpdate(id, uint32(payload, 4, 'WINDOW_UPDATE') & 0x7fff_ffff);
        return;
      case frameType.pushPromise:
        return protocolError('PUSH_PROMISE');
      case frameType.priority:
        if (id === 0) protocolError('PRIORITY of stream 0');
        if (payload.length === 5) this.#events.idle();
        else this.#events.wrongSize(id);
        return;
      default:
        // Unknown types are passed over (§5.5), for a while.
        this.#events.idle();
    }
  }

  #data(flags: number, id: number, payload: Buffer): void {
    if (id === 0) protocolError('DATA of stream 0');
    const bytes = (flags & flag.padded) === 0 ? payload : unpad(payload, 0);
    this.#messages.data(id, bytes, payload.length, (flags & flag.endStream) !== 0);
  }

  #headers(flags: number, id: number, payload: Buffer): void {
    if (id === 0) protocolError('HEADERS of stream 0');
    let block = (flags & flag.padded) === 0 ? payload : unpad(payload, (flags & flag.priority) === 0 ? 0 : 5);
    if ((flags & flag.priority) !== 0) {
      if (block.length < 5) throw new ConnectionError(errorCode.frameSizeError, 'HEADERS is too short');
      block = block.subarray(5);
    }
    const end = (flags & flag.endStream) !== 0;
    if ((flags & flag.endHeaders) !== 0) {
      this.#messages.headerBlock(id, block, end);
      return;
    }
    this.#block = { id, end, parts: [Buffer.from(block)], bytes: block.length };
  }

  #continuation(flags: number, payload: Buffer): void {
    const block = this.#block;
    if (block === undefined) return protocolError('CONTINUATION of nothing');
    block.parts.push(Buffer.from(payload));
    block.bytes += payload.length;
    if (block.bytes > this.#maxBlock || block.parts.length > maxContinuations) {
      throw new ConnectionError(errorCode.enhanceYourCalm, 'a header block is too long');
    }
    if ((flags & flag.endHeaders) === 0) return;
    this.#block = undefined;
    this.#messages.headerBlock(block.id, Buffer.concat(block.parts), block.end);
  }

  #settings(flags: number, id: number, payload: Buffer): void {
    if (id !== 0) protocolError('SETTINGS of a stream');
    this.#settingsReceived = true;
    if ((flags & flag.ack) !== 0) {
      if (payload.length > 0) wrongLength('SETTINGS');
      return;
    }
    if (payload.length % 6 !== 0) wrongLength('SETTINGS');
    for (let at = 0; at < payload.length; at += 6) {
      this.#events.setting(payload.readUInt16BE(at), payload.readUInt32BE(at + 2));
    }
    this.#events.settingsEnd();
  }

  #ping(flags: number, id: number, payload: Buffer): void {
    if (id !== 0) protocolError('PING of a stream');
    if (payload.length !== 8) wrongLength('PING');
    this.#events.ping(payload, (flags & flag.ack) !== 0);
  }

  #goaway(id: number, payload: Buffer): void {
    if (id !== 0) protocolError('GOAWAY of a stream');
    if (payload.length < 8) wrongLength('GOAWAY');
    this.#events.goaway(payload.readUInt32BE(0) & 0x7fff_ffff);
  }
}

function uint32(payload: Buffer, length: number, what: string): number {
  if (payload.length !== length) wrongLength(what);
  return payload.readUInt32BE(0);
}

function unpad(payload: Buffer, least: number): Buffer {
  const padding = payload[0] ?? 0;
  if (payload.length < 1 || padding > payload.length - 1 - least) protocolError('more padding than content');
  return payload.subarray(1, payload.length - padding);
}

function wrongLength(what: string): never {
  throw new ConnectionError(errorCode.frameSizeError, `${what} has a wrong length`);
}

export function protocolError(what: string): never {
  throw new ConnectionError(errorCode.protocolError, what);
}
