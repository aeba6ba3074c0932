import type { Deadlines, Timed } from '../http1/proxy/deadlines.ts';
import type { Http2Connection } from './connection.ts';

export interface KeepaliveLimits {
  /** Silence of the peer after which it is asked whether it is there, in milliseconds. */
  readonly silence: number;
  /** How long it has to say anything. */
  readonly patience: number;
}

/**
 * Finds peers that are gone without a word: a host that died, a network that was cut. Nothing comes of them, TCP takes a
 * quarter of an hour to notice, and what is sent meanwhile is lost. Only for peers that are known to bear it: servers of
 * gRPC end the connections of clients that ask too often.
 */
export class Keepalive implements Timed {
  deadline = Number.POSITIVE_INFINITY;
  readonly #deadlines: Deadlines;
  readonly #limits: KeepaliveLimits;
  #connection: Http2Connection | undefined;
  #asked = false;

  constructor(deadlines: Deadlines, limits: KeepaliveLimits) {
    this.#deadlines = deadlines;
    this.#limits = limits;
  }

  start(connection: Http2Connection): void {
    this.#connection = connection;
    this.#deadlines.add(this);
    this.deadline = this.#deadlines.after(this.#limits.silence);
  }

  stop(): void {
    this.#deadlines.remove(this);
  }

  expire(): void {
    const connection = this.#connection;
    if (connection === undefined) return;
    const { silence, patience } = this.#limits;
    if (connection.takeHeard()) {
      this.#asked = false;
      this.deadline = this.#deadlines.after(silence);
    } else if (this.#asked) {
      connection.failure ??= 'the peer does not answer';
      connection.destroy();
    } else {
      this.#asked = true;
      connection.ask();
      this.deadline = this.#deadlines.after(patience);
    }
  }
}
