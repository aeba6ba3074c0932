import { ConnectionError, errorCode } from './error-codes.ts';
import { frameHeaderSize, maxFrameSize, preface } from './frames.ts';

/** Takes one frame. The payload is valid until the call ends unless it is DATA, whose bytes may be kept. */
export type OnFrame = (type: number, flags: number, id: number, payload: Buffer) => void;

/** Cuts the bytes of a connection into frames. */
export class FrameReader {
  readonly #onFrame: OnFrame;
  /** What a client has to begin with, as far as it did not come yet. */
  #expected: Buffer;
  #parts: Buffer[] = [];
  #held = 0;
  /** Bytes without which nothing can be done. */
  #needed = frameHeaderSize;
  #stopped = false;

  constructor(role: 'client' | 'server', onFrame: OnFrame) {
    this.#onFrame = onFrame;
    this.#expected = role === 'server' ? preface : Buffer.alloc(0);
  }

  /** Nothing more is read. */
  stop(): void {
    this.#stopped = true;
    this.#parts = [];
  }

  /** Throws a ConnectionError. */
  push(chunk: Buffer): void {
    let bytes = chunk;
    if (this.#expected.length > 0) {
      const length = Math.min(bytes.length, this.#expected.length);
      if (bytes.compare(this.#expected, 0, length, 0, length) !== 0) {
        throw new ConnectionError(errorCode.protocolError, 'this is not HTTP/2');
      }
      this.#expected = this.#expected.subarray(length);
      bytes = bytes.subarray(length);
    }
    if (this.#held > 0) {
      this.#parts.push(bytes);
      this.#held += bytes.length;
      if (this.#held < this.#needed) return;
      bytes = Buffer.concat(this.#parts, this.#held);
      this.#parts = [];
      this.#held = 0;
    }
    this.#read(bytes);
  }

  #read(bytes: Buffer): void {
    let at = 0;
    this.#needed = frameHeaderSize;
    while (!this.#stopped && bytes.length - at >= frameHeaderSize) {
      const length = ((bytes[at] as number) << 16) | ((bytes[at + 1] as number) << 8) | (bytes[at + 2] as number);
      if (length > maxFrameSize) throw new ConnectionError(errorCode.frameSizeError, 'a frame is too long');
      const end = at + frameHeaderSize + length;
      if (end > bytes.length) {
        this.#needed = frameHeaderSize + length;
        break;
      }
      const id = bytes.readUInt32BE(at + 5) & 0x7fff_ffff;
      this.#onFrame(bytes[at + 3] as number, bytes[at + 4] as number, id, bytes.subarray(at + frameHeaderSize, end));
      at = end;
    }
    if (at < bytes.length && !this.#stopped) {
      this.#parts = [bytes.subarray(at)];
      this.#held = bytes.length - at;
    }
  }
}
