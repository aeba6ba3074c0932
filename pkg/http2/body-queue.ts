const smallestBlock = 1024;
const largestBlock = 16 * 1024;

/**
 * Bytes of a body that wait. What is small is copied together: a peer that sends bytes one by one, or one at a time among
 * much else, would otherwise have us keep a hundred or 64,000 times as much.
 */
export class BodyQueue {
  #chunks: Buffer[] = [];
  #first = 0;
  #bytes = 0;
  /** The last chunk is the used part of it. */
  #block: Buffer | undefined;
  #used = 0;

  get bytes(): number {
    return this.#bytes;
  }

  push(chunk: Buffer): void {
    if (chunk.length === 0) return;
    this.#bytes += chunk.length;
    if (chunk.length * 4 >= chunk.buffer.byteLength) {
      this.#chunks.push(chunk);
      this.#block = undefined;
    } else {
      this.#copy(chunk);
    }
  }

  /** The next bytes, at most so many; only while there are any. */
  take(most: number): Buffer {
    const chunk = this.#chunks[this.#first] as Buffer;
    if (chunk.length > most) {
      this.#chunks[this.#first] = chunk.subarray(most);
      this.#bytes -= most;
      return chunk.subarray(0, most);
    }
    this.#bytes -= chunk.length;
    this.#first++;
    if (this.#first === this.#chunks.length || this.#first > 64) {
      this.#chunks = this.#chunks.slice(this.#first);
      this.#first = 0;
    }
    if (this.#bytes === 0) this.#block = undefined;
    return chunk;
  }

  clear(): void {
    this.#chunks = [];
    this.#first = 0;
    this.#bytes = 0;
    this.#block = undefined;
  }

  #copy(chunk: Buffer): void {
    const block = this.#block;
    if (block !== undefined && block.length - this.#used >= chunk.length) {
      const last = this.#chunks.length - 1;
      const start = (this.#chunks[last] as Buffer).byteOffset - block.byteOffset;
      block.set(chunk, this.#used);
      this.#used += chunk.length;
      this.#chunks[last] = block.subarray(start, this.#used);
      return;
    }
    const size = Math.max(chunk.length, Math.min(largestBlock, Math.max(smallestBlock, this.#bytes)));
    const fresh = Buffer.allocUnsafeSlow(size);
    fresh.set(chunk);
    this.#block = fresh;
    this.#used = chunk.length;
    this.#chunks.push(fresh.subarray(0, chunk.length));
  }
}
