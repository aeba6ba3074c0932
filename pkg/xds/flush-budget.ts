/**
 * Bounds what all streams together have written and not yet seen leave: a thousand proxies that connect at once are
 * each sent everything, and the memory must not hold all of it at one moment.
 */
export interface FlushBudget {
  /** False: `retry` is called once when there is room, after those who asked before. */
  admit(retry: () => void): boolean;
  /** Counts a write; the returned function says that it has left. */
  spend(bytes: number): () => void;
}

export interface FlushBudgetOptions {
  readonly bytes: number;
  /** After so many milliseconds a write counts no more: who does not read holds back nobody. */
  readonly patience: number;
  readonly setTimer?: (run: () => void, milliseconds: number) => () => void;
}

/** Single changes are far below it, and are never counted. */
const worthCounting = 64 * 1024;

export function createFlushBudget({ bytes, patience, setTimer = startTimer }: FlushBudgetOptions): FlushBudget {
  const waiting = new Set<() => void>();
  let spent = 0;

  function wake(): void {
    for (const retry of waiting) {
      if (spent >= bytes) return;
      waiting.delete(retry);
      retry();
    }
  }

  return {
    admit(retry) {
      if (spent < bytes) return true;
      waiting.add(retry);
      return false;
    },
    spend(size) {
      if (size < worthCounting) return () => undefined;
      spent += size;
      let open = true;
      const release = (): void => {
        if (!open) return;
        open = false;
        cancel();
        spent -= size;
        wake();
      };
      const cancel = setTimer(release, patience);
      return release;
    },
  };
}

function startTimer(run: () => void, milliseconds: number): () => void {
  const timer = setTimeout(run, milliseconds);
  return () => clearTimeout(timer);
}
