/**
 * Bounds what all streams together have written and not yet seen leave: a thousand proxies that connect at once are
 * each sent everything, and the memory must not hold all of it at one moment.
 */
export interface FlushBudget {
  /** False: `retry` is called once when there is room, after those who asked before. */
  admit(retry: () => void): boolean;
  /**
   * Counts a write; the returned function says that it has left, or never will. `evict` is called when too much waits in
   * all and this has waited among the longest.
   */
  spend(bytes: number, evict?: () => void): () => void;
  /** What waits, however long it has. */
  readonly queued: number;
}

export interface FlushBudgetOptions {
  readonly bytes: number;
  /** After so many milliseconds a write counts no more: who does not read holds back nobody. */
  readonly patience: number;
  /**
   * What may wait in all, those who do not read included. Beyond half of it, whoever has not read for `stuck`
   * milliseconds is given up, the longest first; beyond all of it nobody is written to until there is room.
   */
  readonly queue?: { readonly bytes: number; readonly stuck: number };
  readonly now?: () => number;
  readonly setTimer?: (run: () => void, milliseconds: number) => () => void;
}

interface Write {
  readonly bytes: number;
  readonly at: number;
  readonly evict: () => void;
}

/** Single changes are far below it, and hold back nobody. */
const worthCounting = 64 * 1024;
const lookAgain = 250;
const noQueue = { bytes: Number.POSITIVE_INFINITY, stuck: 0 };

export function createFlushBudget(options: FlushBudgetOptions): FlushBudget {
  const { bytes, patience, queue = noQueue, now = () => performance.now(), setTimer = startTimer } = options;
  const waiting = new Set<() => void>();
  /** The oldest first. */
  const writes = new Set<Write>();
  let spent = 0;
  let queued = 0;
  let looking = false;

  const hasRoom = (): boolean => spent < bytes && queued < queue.bytes;

  function wake(): void {
    for (const retry of waiting) {
      if (!hasRoom()) return;
      waiting.delete(retry);
      retry();
    }
  }

  function forget(write: Write): boolean {
    if (!writes.delete(write)) return false;
    queued -= write.bytes;
    return true;
  }

  /** Gives up whoever is stuck while there is more than half of what may be. */
  function relieve(): void {
    for (const write of writes) {
      if (queued <= queue.bytes / 2 || now() - write.at < queue.stuck) return;
      forget(write);
      write.evict();
    }
  }

  /** Nobody may ever read again. */
  function look(): void {
    if (looking || queued < queue.bytes) return;
    looking = true;
    setTimer(() => {
      looking = false;
      relieve();
      wake();
      if (waiting.size > 0) look();
    }, lookAgain);
  }

  return {
    get queued() {
      return queued;
    },
    admit(retry) {
      if (hasRoom()) return true;
      waiting.add(retry);
      look();
      return false;
    },
    spend(size, evict = () => undefined) {
      const write = { bytes: size, at: now(), evict };
      writes.add(write);
      queued += size;
      relieve();
      if (size < worthCounting) {
        return () => {
          if (forget(write) && waiting.size > 0) wake();
        };
      }
      spent += size;
      let open = true;
      const expire = (): void => {
        if (!open) return;
        open = false;
        cancel();
        spent -= size;
        wake();
      };
      const cancel = setTimer(expire, patience);
      return () => {
        const isNew = forget(write);
        if (open) expire();
        else if (isNew) wake();
      };
    },
  };
}

function startTimer(run: () => void, milliseconds: number): () => void {
  const timer = setTimeout(run, milliseconds);
  return () => clearTimeout(timer);
}
