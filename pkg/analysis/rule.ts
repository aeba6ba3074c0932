import { createReporter, type Reporter } from '../catalog/report.ts';
import type { MeshFacts } from '../explain/mesh-facts.ts';
import type { Problem, ResourceRef } from '../problem/problem.ts';
import type { HubObject } from '../smi/hub.ts';

/** One kind of mistake that people make: looks at a whole mesh. Never throws, changes nothing. */
export type AnalysisRule = (facts: MeshFacts) => readonly Problem[];

export type Advice = Omit<Problem, 'resource' | 'field' | 'position'>;

/** Reports on one SMI object after the other. */
export function onEach<T extends HubObject & { readonly kind: string }>(
  objects: Iterable<T>,
  look: (object: T, report: Reporter['report']) => void,
): readonly Problem[] {
  const problems: Problem[] = [];
  for (const object of objects) {
    const reporter = createReporter(object);
    look(object, reporter.report);
    problems.push(...reporter.problems);
  }
  return problems;
}

export function serviceRef({ namespace, name }: { readonly namespace: string; readonly name: string }): ResourceRef {
  return { apiVersion: 'v1', kind: 'Service', namespace, name };
}

/** Distance of one letter, or of case: what a slip of the finger makes of a name. */
export function isNear(a: string, b: string): boolean {
  if (a === b) return false;
  if (a.toLowerCase() === b.toLowerCase() || a.replace(/[-_.]/g, '') === b.replace(/[-_.]/g, '')) return true;
  if (Math.abs(a.length - b.length) > 1 || Math.min(a.length, b.length) < 4) return false;
  let i = 0;
  while (i < a.length && a[i] === b[i]) i += 1;
  const [restA, restB] = [a.slice(i), b.slice(i)];
  const swapped =
    restA.length > 1 && restA[0] === restB[1] && restA[1] === restB[0] && restA.slice(2) === restB.slice(2);
  return swapped || restA.slice(1) === restB.slice(1) || restA.slice(1) === restB || restA === restB.slice(1);
}
