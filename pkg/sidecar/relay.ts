import type { Duplex } from 'node:stream';
import type { Intake } from './intake.ts';

/**
 * Passes bytes between two streams, both ways, each no faster than the other takes them; the end of one side ends the
 * other's writing side and no more. What `pipe` does, for less: there is one listener for each event.
 */
export class Relay {
  readonly #client: Duplex;
  readonly #server: Duplex;
  readonly #intake: Intake | undefined;
  /** Something has moved since it was last asked. */
  #moved = true;

  /** `intake`: what the server's socket reads into, where that is not its stream. */
  constructor(client: Duplex, server: Duplex, intake?: Intake) {
    this.#client = client;
    this.#server = server;
    this.#intake = intake;
  }

  start(): void {
    this.#pass(this.#client, this.#server, undefined);
    this.#pass(this.#server, this.#client, this.#intake);
  }

  takeMoved(): boolean {
    const moved = this.#moved;
    this.#moved = false;
    return moved;
  }

  #pass(from: Duplex, to: Duplex, intake: Intake | undefined): void {
    const sink = (chunk: Buffer): boolean => {
      this.#moved = true;
      // What has no reader any more is dropped: its side is about to end.
      return !to.writable || to.write(chunk);
    };
    if (intake === undefined) {
      from.on('data', (chunk: Buffer) => {
        if (!sink(chunk)) from.pause();
      });
    } else {
      intake.pour(sink);
    }
    from.on('end', () => {
      this.#moved = true;
      if (to.writable) to.end();
    });
    to.on('drain', () => {
      this.#moved = true;
      from.resume();
    });
    from.resume();
  }
}
