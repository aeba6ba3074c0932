/** Time, as an argument: tests move it by hand. */
export interface Clock {
  /** Milliseconds since 1970. */
  now(): number;
  /** Runs something at a time, at once when that has passed; the returned function calls it off. */
  at(time: number, run: () => void): () => void;
}

/** setTimeout counts in 32 bits: what is further off is waited for in steps. */
const longestTimeout = 2 ** 31 - 1;

export const systemClock: Clock = {
  now: () => Date.now(),
  at(time, run) {
    let timer: NodeJS.Timeout;
    const wait = (): void => {
      const left = time - Date.now();
      timer = setTimeout(left > longestTimeout ? wait : run, Math.max(0, Math.min(left, longestTimeout)));
      timer.unref();
    };
    wait();
    return () => clearTimeout(timer);
  },
};
