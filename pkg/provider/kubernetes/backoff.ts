export interface Backoff {
  /** Milliseconds to wait before trying again: none for the first time, then more and more, never in step with others. */
  next(): number;
  reset(): void;
}

/** Decorrelated jitter: each delay lies between the least and three times the one before. */
export function createBackoff([least, most]: readonly [number, number], random: () => number): Backoff {
  let last = 0;
  let tries = 0;
  return {
    next() {
      tries += 1;
      if (tries === 1) return 0;
      last = Math.min(most, least + random() * (Math.max(last, least) * 3 - least));
      return last;
    },
    reset() {
      last = 0;
      tries = 0;
    },
  };
}
