/** What a pod that runs waits for: times and states; nothing of it happens after the end. */
export interface PodTimers {
  readonly ended: boolean;
  readonly later: (ms: number, task: () => void) => void;
  /** Resolves when it is so, is asked again at each `wake`; also after the time, and at the end. */
  readonly until: (condition: () => boolean, ms: number) => Promise<void>;
  wake(): void;
  /** Forgets all tasks. */
  clear(): void;
  end(): void;
}

export function createPodTimers(): PodTimers {
  const timers = new Set<NodeJS.Timeout>();
  const waiters = new Set<() => void>();
  let ended = false;

  function clear(): void {
    for (const timer of timers) clearTimeout(timer);
    timers.clear();
  }

  return {
    get ended() {
      return ended;
    },
    later(ms, task) {
      const timer = setTimeout(() => {
        timers.delete(timer);
        if (!ended) task();
      }, ms);
      timers.add(timer);
    },
    until: (condition, ms) =>
      new Promise((resolve) => {
        const timer = setTimeout(done, ms);
        function done(): void {
          clearTimeout(timer);
          waiters.delete(check);
          resolve();
        }
        function check(): void {
          if (ended || condition()) done();
        }
        waiters.add(check);
        check();
      }),
    wake() {
      for (const check of [...waiters]) check();
    },
    clear,
    end() {
      ended = true;
      clear();
    },
  };
}
