import type { Locate } from '../../catalog/snapshot.ts';
import type { Problem } from '../../problem/problem.ts';

/** Adds to each problem the place of the offending value, where the object came from a file. */
export function withPositions(problems: readonly Problem[], locate: Locate): Problem[] {
  return problems.map((problem) => {
    const position = problem.position ?? locate(problem.resource, problem.field);
    return position ? { ...problem, position } : problem;
  });
}
