import type { OnReadOpts } from 'node:net';

/**
 * All sockets with an intake read into these bytes, one after the other: each is done with them before the next reads. Node
 * would take 64 KiB anew for each read, and give most of it back.
 */
const shared = Buffer.allocUnsafeSlow(64 * 1024);

/** Takes what a socket reads, past its stream (`onread` of node:net). What comes before there is a sink waits. */
export class Intake {
  #early: Buffer[] = [];
  #sink: ((chunk: Buffer) => boolean) | undefined;
  #isAttached = false;

  /** Some socket reads into it. */
  get isAttached(): boolean {
    return this.#isAttached;
  }

  /** For the one socket that is to read into it. */
  attach(): OnReadOpts {
    this.#isAttached = true;
    return {
      buffer: shared,
      callback: (size) => {
        const chunk = Buffer.from(shared.subarray(0, size));
        if (this.#sink !== undefined) return this.#sink(chunk);
        this.#early.push(chunk);
        return false;
      },
    };
  }

  /** `sink` says whether it takes more; where it doesn't, the socket is read again once it is resumed. */
  pour(sink: (chunk: Buffer) => boolean): void {
    this.#sink = sink;
    for (const chunk of this.#early) sink(chunk);
    this.#early = [];
  }
}
