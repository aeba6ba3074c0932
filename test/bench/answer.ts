import { monitorEventLoopDelay } from 'node:perf_hooks';

export interface Question {
  readonly id: number;
  readonly kind: string;
  readonly argument: unknown;
}

export interface Answer {
  readonly id: number;
  readonly value?: unknown;
  readonly error?: string;
}

/** What a process used since it was asked the last time. */
export interface Usage {
  readonly cpu: number;
  readonly rss: number;
  /** The most that it ever had. */
  readonly peak: number;
  /** The longest that its event loop stood still, in milliseconds. */
  readonly pause: number;
}

/** Answers the questions of the process that started this one, until that one is gone. */
export function answer(handlers: Readonly<Record<string, (argument: never) => unknown>>): void {
  process.on('message', ({ id, kind, argument }: Question) => {
    const send = (rest: Omit<Answer, 'id'>): void => void process.send?.({ id, ...rest });
    Promise.resolve()
      .then(() => handlers[kind]?.(argument as never))
      .then(
        (value) => send({ value }),
        (error: unknown) => send({ error: String(error) }),
      );
  });
  process.on('disconnect', () => process.exit(0));
  process.on('SIGTERM', () => process.exit(0));
}

export function meter(): () => Usage {
  const delay = monitorEventLoopDelay({ resolution: 10 });
  delay.enable();
  let before = process.cpuUsage();
  return () => {
    const { user, system } = process.cpuUsage(before);
    before = process.cpuUsage();
    const usage = {
      cpu: (user + system) / 1e6,
      rss: process.memoryUsage.rss() / 1048576,
      peak: process.resourceUsage().maxRSS / 1024,
      pause: delay.max / 1e6,
    };
    delay.reset();
    return usage;
  };
}
