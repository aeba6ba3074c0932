/** Something that ends when it stays silent for too long. */
export interface Timed {
  /** On the clock of its `Deadlines`; Infinity: never. */
  deadline: number;
  /** The deadline has passed. Called once per tick until it is moved or removed. */
  expire(): void;
}

/**
 * Coarse deadlines for many connections: moving one is one assignment, and one timer serves all. A deadline is late by
 * two ticks at most, never early.
 */
export class Deadlines {
  readonly #timed = new Set<Timed>();
  readonly #tick: number;
  #time = 0;

  constructor(tickMillis: number) {
    this.#tick = tickMillis;
  }

  /** The time that deadlines are held against. */
  get time(): number {
    return this.#time;
  }

  /** The deadline of what may last so long from now. */
  after(millis: number): number {
    return this.#time + millis + this.#tick;
  }

  /** The deadline of what must have ended by then: kept up to one tick early, never late. */
  within(millis: number): number {
    return this.#time + millis - this.#tick;
  }

  add(timed: Timed): void {
    this.#timed.add(timed);
  }

  remove(timed: Timed): void {
    this.#timed.delete(timed);
  }

  /** One tick of the clock. */
  tick(): void {
    this.#time += this.#tick;
    for (const timed of this.#timed) {
      if (timed.deadline < this.#time) timed.expire();
    }
  }

  /** Ticks until the signal; doesn't keep the process alive. */
  run(signal: AbortSignal): void {
    const timer = setInterval(() => this.tick(), this.#tick);
    timer.unref();
    signal.addEventListener('abort', () => clearInterval(timer), {
      once: true,
    });
  }
}
