import type { LogFields, Logger } from '../observability/logger.ts';
import { createAllowance } from './allowance.ts';

export type Tell = (level: 'info' | 'warn' | 'error', message: string, fields: LogFields) => void;

/** Lines of one message: all pods of a large rollout, and then two a second. */
const burst = 500;
const perSecond = 2;

/**
 * What is told of the webhook's answers, bounded by message: anybody may ask, as often as he likes, and hides by it
 * nothing that others are answered. The first line after some that were not written says how many these were.
 */
export function createAnswerLog(log: Logger, now: () => number): Tell {
  const kinds = new Map<string, { readonly mayTell: () => boolean; untold: number }>();
  return (level, message, fields) => {
    const kind = kinds.get(message) ?? { mayTell: createAllowance(burst, perSecond, now), untold: 0 };
    kinds.set(message, kind);
    if (!kind.mayTell()) {
      kind.untold += 1;
      return;
    }
    log[level](message, kind.untold > 0 ? { ...fields, untold: kind.untold } : fields);
    kind.untold = 0;
  };
}
