/** Counts what is under way, so that a shutdown can wait for it. */
export interface InFlight {
  /** The returned function ends it, once. */
  enter(): () => void;
  readonly size: number;
  /** Resolves when nothing is under way. */
  idle(): Promise<void>;
}

export function createInFlight(): InFlight {
  let size = 0;
  let waiting: (() => void)[] = [];

  return {
    enter() {
      size += 1;
      let left = false;
      return () => {
        if (left) return;
        left = true;
        size -= 1;
        if (size > 0) return;
        const resolve = waiting;
        waiting = [];
        for (const done of resolve) done();
      };
    },
    get size() {
      return size;
    },
    idle() {
      return size === 0 ? Promise.resolve() : new Promise((resolve) => waiting.push(resolve));
    },
  };
}
