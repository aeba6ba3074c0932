import type { ProblemReason } from './reasons.ts';

/** Where in the user's input something stands. Lines and columns count from 1, as editors do. */
export interface Position {
  readonly file: string;
  readonly line: number;
  readonly column: number;
}

/** The object that a problem is about. `apiVersion` tells kinds of one name apart (TCPRoute is also in Gateway API). */
export interface ResourceRef {
  readonly apiVersion?: string;
  readonly kind: string;
  readonly namespace: string;
  readonly name: string;
}

/** `error`: the object, or a part of it, is not in force. `warning`: in force, but likely not what was meant. */
export type Severity = 'error' | 'warning' | 'info';

/** Something a user has to change, and where. Pure code returns problems; only edges throw or print them. */
export interface Problem {
  readonly resource: ResourceRef;
  /** JSON pointer (RFC 6901) to the offending value, '' for the whole object: `/spec/backends/0/service`. */
  readonly field: string;
  readonly severity: Severity;
  /** Stable CamelCase code, one of `problemReasons`: a heading of docs/problems.md, an Event's reason. */
  readonly reason: ProblemReason;
  /** One clause, no full stop: `no Service "cart-v2" in namespace "shop"`. */
  readonly message: string;
  /** What to do, imperative, no full stop: `create it, or set this weight to 0`. */
  readonly fix: string;
  /** Added by the edge that read the object; absent while in pure code. */
  readonly position?: Position;
}

/** A value that could be computed, beside what was wrong with its input. */
export interface Outcome<T> {
  readonly value: T;
  readonly problems: readonly Problem[];
}

/** `mesh.yaml:12:7: TrafficSplit shop/canary /spec/backends/1/service: no Service "cart-v2". Fix: create it. [BackendNotFound]` */
export function formatProblem(problem: Problem): string {
  const { resource, field, position, message, fix, reason } = problem;
  const object = resource.name === '' ? resource.kind : `${resource.kind} ${resource.namespace}/${resource.name}`;
  const where = position ? `${position.file}:${position.line}:${position.column}: ` : '';
  return `${where}${object}${field === '' ? '' : ` ${field}`}: ${message}. Fix: ${fix}. [${reason}]`;
}
