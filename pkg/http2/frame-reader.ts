import { ConnectionError, errorCode } from './error-codes.ts';
import { frameHeaderSize, maxFrameSize, preface } from './frames.ts';

/** Takes one frame. The payload is valid until the call ends unless it is DATA, whose bytes may be kept. */
export type OnFrame = (type: number, flags: number, id: number, payload: Buffer) => void;

const none = Buffer.alloc(0);

/** Cuts the bytes of a connection into frames. */
export class FrameReader {
  readonly #onFrame: OnFrame;
  /** What a client has to begin with, as far as it did not come yet. */
  #expected: Buffer;
  readonly #header = Buffer.alloc(frameHeaderSize);
  /** Bytes of a frame header that came without the rest. */
  #headerBytes = 0;
  /** The payload of a frame that did not come whole, of the size that it will have. */
  #partial: Buffer | undefined;
  #partialBytes = 0;
  #stopped = false;

  constructor(role: 'client' | 'server', onFrame: OnFrame) {
    this.#onFrame = onFrame;
    this.#expected = role === 'server' ? preface : none;
  }

  /** Nothing more is read. */
  stop(): void {
    this.#stopped = true;
    this.#partial = undefined;
  }

  /** Throws a ConnectionError. */
  push(chunk: Buffer): void {
    let at = this.#expected.length > 0 ? this.#checkPreface(chunk) : 0;
    while (at < chunk.length && !this.#stopped) {
      if (this.#partial !== undefined) at = this.#continue(this.#partial, chunk, at);
      else if (this.#headerBytes > 0 || chunk.length - at < frameHeaderSize) at = this.#gatherHeader(chunk, at);
      else at = this.#begin(chunk, at, chunk, at + frameHeaderSize);
    }
  }

  #checkPreface(chunk: Buffer): number {
    const length = Math.min(chunk.length, this.#expected.length);
    if (chunk.compare(this.#expected, 0, length, 0, length) !== 0) {
      throw new ConnectionError(errorCode.protocolError, 'this is not HTTP/2');
    }
    this.#expected = this.#expected.subarray(length);
    return length;
  }

  #gatherHeader(chunk: Buffer, at: number): number {
    const length = Math.min(frameHeaderSize - this.#headerBytes, chunk.length - at);
    chunk.copy(this.#header, this.#headerBytes, at, at + length);
    this.#headerBytes += length;
    if (this.#headerBytes < frameHeaderSize) return at + length;
    this.#headerBytes = 0;
    return this.#begin(this.#header, 0, chunk, at + length);
  }

  /** `header` from `from` is a whole one; its payload begins at `at`. Where to go on. */
  #begin(header: Buffer, from: number, chunk: Buffer, at: number): number {
    const length = ((header[from] as number) << 16) | (header.readUInt16BE(from + 1) & 0xffff);
    if (length > maxFrameSize) throw new ConnectionError(errorCode.frameSizeError, 'a frame is too long');
    const end = at + length;
    if (end <= chunk.length) {
      this.#tell(header, from, length === 0 ? none : chunk.subarray(at, end));
      return end;
    }
    if (header !== this.#header) header.copy(this.#header, 0, from, from + frameHeaderSize);
    this.#partial = Buffer.allocUnsafeSlow(length);
    this.#partialBytes = chunk.copy(this.#partial, 0, at);
    return chunk.length;
  }

  #continue(partial: Buffer, chunk: Buffer, at: number): number {
    const end = Math.min(chunk.length, at + partial.length - this.#partialBytes);
    this.#partialBytes += chunk.copy(partial, this.#partialBytes, at, end);
    if (this.#partialBytes < partial.length) return end;
    this.#partial = undefined;
    this.#tell(this.#header, 0, partial);
    return end;
  }

  #tell(header: Buffer, from: number, payload: Buffer): void {
    const id = header.readUInt32BE(from + 5) & 0x7fff_ffff;
    this.#onFrame(header[from + 3] as number, header[from + 4] as number, id, payload);
  }
}
