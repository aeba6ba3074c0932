import { createAllowance } from './allowance.ts';
import type { InjectionNamespace } from './injection-settings.ts';

/** Looks a namespace up in the API server. */
export type LookUp = (name: string) => Promise<InjectionNamespace | undefined>;

export interface FreshNamespacesOptions {
  readonly lookUp: LookUp;
  readonly now: () => number;
  readonly sleep?: (milliseconds: number) => Promise<void>;
}

/** Milliseconds from one look-up of a name to the next. */
const apart = 250;
/** Of all names at once, and how many wait for one of these to end. */
const maxRunning = 16;
const maxWaiting = 200;
/** Of all names, at once and per second in the long run. */
const burst = 100;
const perSecond = 20;

interface Turn {
  /** The look-up has ended, and the next may begin. */
  readonly over: Promise<unknown>;
  next: Promise<InjectionNamespace | undefined> | undefined;
}

/**
 * Bounds what the API server is asked for those who call the webhook, which anybody may. Whoever asks for a name that is
 * being looked up, or just was, shares the next look-up of it: nobody is given an answer that is older than his question,
 * for it may have been got before the namespace was labelled.
 */
export function createFreshNamespaces({ lookUp, now, sleep = wait }: FreshNamespacesOptions): LookUp {
  const turns = new Map<string, Turn>();
  const mayAsk = createAllowance(burst, perSecond, now);
  const waiting: (() => void)[] = [];
  let running = 0;

  async function ask(name: string): Promise<InjectionNamespace | undefined> {
    if (running >= maxRunning) await new Promise<void>((resolve) => waiting.push(resolve));
    running += 1;
    try {
      return await lookUp(name);
    } finally {
      running -= 1;
      waiting.shift()?.();
    }
  }

  function begin(name: string): Promise<InjectionNamespace | undefined> {
    turns.delete(name);
    if (waiting.length >= maxWaiting || !mayAsk()) {
      return Promise.reject(new Error('too much is asked about namespaces that are not known here yet'));
    }
    const answer = ask(name);
    const turn: Turn = { over: Promise.allSettled([answer, sleep(apart)]), next: undefined };
    turns.set(name, turn);
    void turn.over.then(() => {
      if (!turn.next) turns.delete(name);
    });
    return answer;
  }

  return (name) => {
    const turn = turns.get(name);
    if (!turn) return begin(name);
    turn.next ??= turn.over.then(() => begin(name));
    return turn.next;
  };
}

function wait(milliseconds: number): Promise<void> {
  return new Promise((resolve) => setTimeout(resolve, milliseconds).unref());
}
