/** Something that is to be so, and is made so again and again. */
export interface Keeper {
  /** Something may be different now: look at once. */
  ring(): void;
}

export interface KeeperOptions {
  /** Looks, and corrects. Runs one at a time; an error is told, and it is tried again soon. */
  readonly work: (signal: AbortSignal) => Promise<void>;
  /** Milliseconds between two looks when nothing rings. */
  readonly every: number;
  readonly signal: AbortSignal;
  readonly onError: (error: unknown) => void;
}

const firstRetry = 250;
const longestRetry = 15_000;

/** Runs `work` now, when it is rung for, from time to time, and after failures, until the signal is aborted. */
export function runKeeper({ work, every, signal, onError }: KeeperOptions): Keeper {
  let rung = true;
  let wake = (): void => undefined;

  function wait(milliseconds: number): Promise<void> {
    return new Promise((resolve) => {
      if (rung || signal.aborted) return resolve();
      const timer = setTimeout(resolve, milliseconds);
      timer.unref();
      wake = () => {
        clearTimeout(timer);
        resolve();
      };
    });
  }

  async function run(): Promise<void> {
    let retry = firstRetry;
    while (!signal.aborted) {
      rung = false;
      let next = every;
      try {
        await work(signal);
        retry = firstRetry;
      } catch (error) {
        if (signal.aborted) return;
        onError(error);
        next = retry;
        retry = Math.min(retry * 2, longestRetry);
      }
      await wait(next);
    }
  }

  signal.addEventListener('abort', () => wake(), { once: true });
  void run();
  return {
    ring() {
      rung = true;
      wake();
    },
  };
}
