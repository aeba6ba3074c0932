export interface Backoff {
  /** How long to wait before the next attempt, in milliseconds. */
  next(): number;
  /** What was started has ended after so long: a long life starts the count anew. */
  lived(ms: number): void;
  readonly attempts: number;
}

/** 0.2 s, 0.4 s, … up to `largest`; from the start again after a life of at least 30 s. */
export function createBackoff(smallest = 200, largest = 30_000): Backoff {
  let attempts = 0;
  return {
    next() {
      const wait = Math.min(largest, smallest * 2 ** attempts);
      attempts += 1;
      return wait;
    },
    lived(ms) {
      if (ms >= 30_000) attempts = 0;
    },
    get attempts() {
      return attempts;
    },
  };
}
