import type { Deadlines, Timed } from '../http1/proxy/deadlines.ts';
import type { Http2Connection } from './connection.ts';

export interface IdleLimits {
  /** Without a stream, in milliseconds. */
  readonly idle: number;
  /** For its first words, and for each header block. */
  readonly headers: number;
}

/** Ends a connection that has had no stream for too long, or is too slow with what must not wait. */
export class IdleWatch implements Timed {
  deadline = Number.POSITIVE_INFINITY;
  readonly #deadlines: Deadlines;
  readonly #limits: IdleLimits;
  #connection: Http2Connection | undefined;
  #state: 'halfway' | 'idle' | 'busy' | undefined;

  constructor(deadlines: Deadlines, limits: IdleLimits) {
    this.#deadlines = deadlines;
    this.#limits = limits;
  }

  start(connection: Http2Connection): void {
    this.#connection = connection;
    this.#deadlines.add(this);
    this.update();
  }

  stop(): void {
    this.#deadlines.remove(this);
  }

  /** After each activity. */
  update(): void {
    const connection = this.#connection;
    if (!connection) return;
    const { idle, headers } = this.#limits;
    const state = connection.halfway ? 'halfway' : connection.streams === 0 ? 'idle' : 'busy';
    // What comes in between moves no deadline: neither a byte now and then nor a PING.
    if (state === this.#state) return;
    this.#state = state;
    if (state === 'busy') this.deadline = Number.POSITIVE_INFINITY;
    else this.deadline = state === 'halfway' ? this.#deadlines.within(headers) : this.#deadlines.after(idle);
  }

  expire(): void {
    const connection = this.#connection;
    // One that was asked to go and does not answer is not asked twice.
    if (connection?.halfway === true || connection?.draining === true) connection.destroy();
    else connection?.drain();
    this.deadline = this.#deadlines.after(this.#limits.headers);
  }
}
