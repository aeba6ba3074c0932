import type { Problem } from '../problem/problem.ts';
import { toWrittenField } from '../smi/decode.ts';
import type { HubObject } from '../smi/hub.ts';

/** Collects what is wrong with one SMI object; fields are those of the hub form, and are turned to what the user wrote. */
export interface Reporter {
  readonly problems: Problem[];
  readonly report: (field: string, problem: Omit<Problem, 'resource' | 'field' | 'position'>) => void;
}

export function createReporter(object: HubObject & { readonly kind: string }): Reporter {
  const { apiVersion, kind, namespace, name } = object;
  const resource = { apiVersion, kind, namespace, name };
  const problems: Problem[] = [];
  return {
    problems,
    report: (field, problem) =>
      problems.push({
        resource,
        field: toWrittenField(object, field),
        ...problem,
      }),
  };
}
