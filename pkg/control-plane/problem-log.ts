import type { Logger } from '../observability/logger.ts';
import { formatProblem, type Problem } from '../problem/problem.ts';

/** Logs each problem once, and again when it has been gone in between. Takes all that there are, each time. */
export function createProblemLog(log: Logger): (current: readonly Problem[]) => void {
  let told: ReadonlySet<string> = new Set();
  return (current) => {
    const texts = new Map(current.map((problem) => [formatProblem(problem), problem]));
    for (const [text, { severity }] of texts) {
      if (!told.has(text)) log[severity === 'warning' ? 'warn' : severity]('problem', { problem: text });
    }
    told = new Set(texts.keys());
  };
}
