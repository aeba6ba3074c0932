import type { LogFields, Logger } from '../observability/logger.ts';

export interface Refusal {
  /** A constant, as for every line of the log. */
  readonly message: string;
  readonly reason: string;
  /** Whose it is: a pod, or the address that it came from. */
  readonly from: string;
  /** `warn` when absent. */
  readonly level?: 'warn' | 'error';
  /** Told with the first of its kind. */
  readonly fields?: LogFields;
}

/** Refusals in the log, bounded: anybody can be refused as often as he likes. */
export interface RefusalLog {
  /** The first of a reason and client is a line at once; those that follow are counted and told together. */
  tell(refusal: Refusal): void;
  /** Tells what was counted. */
  close(): void;
}

export interface RefusalLogOptions {
  readonly log: Logger;
  /** Milliseconds between two lines of the same reason and client. 30 s when absent. */
  readonly every?: number;
  readonly setTimer?: (run: () => void, milliseconds: number) => () => void;
}

interface Kind {
  readonly refusal: Refusal;
  /** Since it was told last. */
  count: number;
}

/** Told one by one in each period; more kinds are one number. Who has few displaces one of whoever has most. */
const maxKinds = 60;
/** Of one client: whoever makes up reasons hides nobody else's. */
const maxOfOne = 8;
const longest = 300;

export function createRefusalLog({ log, every = 30_000, setTimer = startTimer }: RefusalLogOptions): RefusalLog {
  const kinds = new Map<string, Kind>();
  const perClient = new Map<string, number>();
  let others = 0;
  let cancel: (() => void) | undefined;

  function kindOf(refusal: Refusal): Kind | undefined {
    const { message, reason, from } = refusal;
    const key = `${message}\0${reason}\0${from}`;
    const known = kinds.get(key);
    if (known) return known;
    const own = perClient.get(from) ?? 0;
    if (own >= maxOfOne || (kinds.size >= maxKinds && !makeRoom(own + 1))) return undefined;
    perClient.set(from, own + 1);
    // -1: it is new, and told at once.
    const kind = { refusal, count: -1 };
    kinds.set(key, kind);
    return kind;
  }

  /** Takes the newest of the client that has most; false: none has more than the one that comes would. */
  function makeRoom(wanted: number): boolean {
    let [most, count] = ['', wanted];
    for (const [from, own] of perClient) if (own > count) [most, count] = [from, own];
    const newest = [...kinds].findLast(([, { refusal }]) => count > wanted && refusal.from === most);
    if (!newest) return false;
    const [key, kind] = newest;
    others += kind.count;
    forget(key, most);
    return true;
  }

  function summarise(): void {
    cancel = undefined;
    const seconds = Math.round(every / 1000);
    for (const [key, kind] of kinds) {
      const { message, reason, from, level = 'warn' } = kind.refusal;
      if (kind.count > 0) log[level](message, { reason, from, times: kind.count, seconds });
      // It is quiet: the next one is a first one again.
      else forget(key, from);
      kind.count = 0;
    }
    if (others > 0) log.warn('more was refused', { times: others, seconds, metric: 'tulle_xds_refused_total' });
    others = 0;
    if (kinds.size > 0) schedule();
  }

  function forget(key: string, from: string): void {
    kinds.delete(key);
    const own = (perClient.get(from) ?? 1) - 1;
    if (own > 0) perClient.set(from, own);
    else perClient.delete(from);
  }

  function schedule(): void {
    cancel ??= setTimer(summarise, every);
  }

  return {
    tell(refusal) {
      const bounded = { ...refusal, reason: refusal.reason.slice(0, longest) };
      const kind = kindOf(bounded);
      schedule();
      if (!kind) {
        others += 1;
        return;
      }
      kind.count += 1;
      const { message, reason, from, level = 'warn', fields } = bounded;
      if (kind.count === 0) log[level](message, { reason, from, ...fields });
    },
    close() {
      if (!cancel) return;
      cancel();
      summarise();
      cancel?.();
      kinds.clear();
      perClient.clear();
    },
  };
}

function startTimer(run: () => void, milliseconds: number): () => void {
  const timer = setTimeout(run, milliseconds);
  timer.unref();
  return () => clearTimeout(timer);
}
