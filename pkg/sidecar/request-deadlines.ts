import type { Deadlines, Timed } from '../http1/proxy/deadlines.ts';

/** A request that ends when it stays silent for too long. */
export interface TimedRequest extends Timed {
  /** Where it stands in its list; -1: in none. */
  slot: number;
}

/**
 * Deadlines of what comes and goes with each request. They stand in an array: a Set that changes so often leaves tables
 * behind that keep what has ended alive (see `StreamTable`).
 */
export class RequestDeadlines implements Timed {
  /** Called on each tick. */
  readonly deadline = Number.NEGATIVE_INFINITY;
  readonly #clock: Deadlines;
  readonly #requests: TimedRequest[] = [];

  constructor(clock: Deadlines) {
    this.#clock = clock;
    clock.add(this);
  }

  /** The deadline of what may last so long from now. */
  after(millis: number): number {
    return this.#clock.after(millis);
  }

  add(request: TimedRequest): void {
    if (request.slot >= 0) return;
    request.slot = this.#requests.length;
    this.#requests.push(request);
  }

  remove(request: TimedRequest): void {
    const { slot } = request;
    if (slot < 0) return;
    request.slot = -1;
    const last = this.#requests.pop() as TimedRequest;
    if (last === request) return;
    this.#requests[slot] = last;
    last.slot = slot;
  }

  expire(): void {
    const { time } = this.#clock;
    // From the end: whoever takes the place of one that has gone was looked at already.
    for (let i = this.#requests.length - 1; i >= 0; i--) {
      const request = this.#requests[i];
      if (request !== undefined && request.deadline < time) request.expire();
    }
  }
}
