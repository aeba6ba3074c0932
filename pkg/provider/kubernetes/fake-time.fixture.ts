import type { Clock } from '../../certs/clock.ts';

/** A clock on which short waits are over at once, and long ones when they are told to be. */
export interface HurriedClock extends Clock {
  /** How long the short waits would have been. */
  readonly delays: readonly number[];
  /** Time goes on by so much; no wait ends by that. */
  pass(milliseconds: number): void;
  /** Ends the long waits: what waits for a sign of life gives up. */
  endLongWaits(): void;
}

export function createHurriedClock(longMs = 60_000): HurriedClock {
  const long = new Set<() => void>();
  const delays: number[] = [];
  let now = Date.UTC(2026, 10, 21);
  return {
    delays,
    now: () => now,
    at(time, run) {
      if (time - now >= longMs) {
        long.add(run);
        return () => long.delete(run);
      }
      delays.push(time - now);
      const handle = setImmediate(() => {
        now = Math.max(now, time);
        run();
      });
      return () => clearImmediate(handle);
    },
    pass(milliseconds) {
      now += milliseconds;
    },
    endLongWaits() {
      for (const run of [...long]) run();
    },
  };
}

/** Resolves as soon as something holds; `look` again whenever it may. No time passes. */
export interface Lookout {
  readonly look: () => void;
  readonly until: (holds: () => boolean) => Promise<void>;
}

export function createLookout(): Lookout {
  const waiting = new Set<() => void>();
  return {
    look() {
      for (const check of [...waiting]) check();
    },
    until: (holds) =>
      new Promise((resolve) => {
        const check = (): void => {
          if (!holds()) return;
          waiting.delete(check);
          resolve();
        };
        waiting.add(check);
        check();
      }),
  };
}
