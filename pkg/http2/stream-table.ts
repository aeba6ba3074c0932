import type { Http2Stream } from './stream.ts';

const smallest = 16;

/**
 * The open streams of a connection, by their ids. A Map would do, but for what it leaves behind: each time that V8 makes
 * its table anew, the old one points to the next, so that one that has grown old keeps whatever streams there were alive
 * until the next full collection. With streams coming and going by the thousand that was most of the work of the collector.
 */
export class StreamTable {
  /** Open addressing with linear probing; the length is a power of two, more than half of it empty. */
  #slots: (Http2Stream | undefined)[] = new Array<Http2Stream | undefined>(smallest).fill(undefined);
  #size = 0;

  get size(): number {
    return this.#size;
  }

  get(id: number): Http2Stream | undefined {
    const slots = this.#slots;
    const mask = slots.length - 1;
    for (let at = (id >>> 1) & mask; ; at = (at + 1) & mask) {
      const stream = slots[at];
      if (stream === undefined || stream.id === id) return stream;
    }
  }

  /** Only what is not in it. */
  add(stream: Http2Stream): void {
    if (2 * (this.#size + 1) > this.#slots.length) this.#resize(2 * this.#slots.length);
    this.#size++;
    put(this.#slots, stream);
  }

  delete(id: number): void {
    const slots = this.#slots;
    const mask = slots.length - 1;
    let hole = (id >>> 1) & mask;
    while (slots[hole]?.id !== id) {
      if (slots[hole] === undefined) return;
      hole = (hole + 1) & mask;
    }
    this.#size--;
    // What stands behind it and was pushed there moves up: there are no gravestones.
    for (let at = (hole + 1) & mask; ; at = (at + 1) & mask) {
      const stream = slots[at];
      if (stream === undefined) break;
      const home = (stream.id >>> 1) & mask;
      if (((at - home) & mask) < ((at - hole) & mask)) continue;
      slots[hole] = stream;
      hole = at;
    }
    slots[hole] = undefined;
    if (slots.length > smallest && 16 * this.#size < slots.length) this.#resize(slots.length / 4);
  }

  /** As they are now, in the order of their ids. */
  values(): Http2Stream[] {
    return this.#slots.filter((stream) => stream !== undefined).sort((a, b) => a.id - b.id);
  }

  #resize(length: number): void {
    const old = this.#slots;
    this.#slots = new Array<Http2Stream | undefined>(Math.max(smallest, length)).fill(undefined);
    for (const stream of old) if (stream !== undefined) put(this.#slots, stream);
  }
}

function put(slots: (Http2Stream | undefined)[], stream: Http2Stream): void {
  const mask = slots.length - 1;
  let at = (stream.id >>> 1) & mask;
  while (slots[at] !== undefined) at = (at + 1) & mask;
  slots[at] = stream;
}
