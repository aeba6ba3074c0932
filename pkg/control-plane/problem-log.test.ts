import assert from 'node:assert/strict';
import { createLogger } from '../observability/logger.ts';
import type { Problem } from '../problem/problem.ts';
import { createProblemLog } from './problem-log.ts';

describe('the log of problems', () => {
  it('has each problem once, and again when it has been gone in between', () => {
    const lines: string[] = [];
    const tell = createProblemLog(
      createLogger({ level: 'info', component: 'test', write: (line) => lines.push(line) }),
    );
    const problem = (message: string, severity: Problem['severity']): Problem =>
      ({
        severity,
        message,
        reason: 'X',
        resource: { kind: 'TrafficTarget', namespace: 'n', name: 't' },
      }) as unknown as Problem;
    const [first, second] = [problem('first', 'error'), problem('second', 'warning')];
    const levels = (): string[] => lines.map((line) => (JSON.parse(line) as { level: string }).level);

    tell([first, first]);
    tell([first, second]);
    assert.deepEqual(levels(), ['error', 'warn']);
    tell([second]);
    tell([first, second]);
    assert.deepEqual(levels(), ['error', 'warn', 'error']);
  });
});
