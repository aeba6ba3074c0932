import type { Clock } from '../../pkg/certs/clock.ts';

/** A clock that stands still until it is moved; what falls due on the way runs in order, each at its own time. */
export interface FakeClock extends Clock {
  /** Moves on by so many milliseconds. What is due runs; promises that it starts are not waited for. */
  advance(milliseconds: number): void;
  /** How many things are waiting for their time. */
  readonly waiting: number;
}

export function createFakeClock(start = Date.UTC(2026, 10, 21, 12)): FakeClock {
  let now = start;
  let pending: { readonly time: number; readonly run: () => void }[] = [];
  return {
    now: () => now,
    at(time, run) {
      const entry = { time, run };
      pending.push(entry);
      return () => {
        pending = pending.filter((other) => other !== entry);
      };
    },
    advance(milliseconds) {
      const end = now + milliseconds;
      for (;;) {
        const [next] = pending.filter(({ time }) => time <= end).sort((a, b) => a.time - b.time);
        if (!next) break;
        pending = pending.filter((other) => other !== next);
        now = Math.max(now, next.time);
        next.run();
      }
      now = end;
    },
    get waiting() {
      return pending.length;
    },
  };
}
