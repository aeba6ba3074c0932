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
