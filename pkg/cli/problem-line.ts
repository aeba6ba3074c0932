import { formatProblem, type Problem, type Severity } from '../problem/problem.ts';

/** As `tulle analyze` words it: `info` is a note. */
export function severityWord(severity: Severity): 'error' | 'warning' | 'note' {
  return severity === 'info' ? 'note' : severity;
}

/** `mesh.yaml:12:7: error: TrafficSplit shop/canary …`: compilers' order, which editors find their way by. */
export function toProblemLine({ position, ...problem }: Problem): string {
  const where = position ? `${position.file}:${position.line}:${position.column}: ` : '';
  return `${where}${severityWord(problem.severity)}: ${formatProblem(problem)}`;
}
