import type { ResourceRef } from '../problem/problem.ts';
import type { Probe } from './launcher-protocol.ts';

/** One pod that should run, decided from the user's objects; nothing in it depends on this machine but programs and folders. */
export interface PodPlan {
  readonly namespace: string;
  readonly name: string;
  /** `namespace/Kind/name` of what it belongs to. */
  readonly owner: string;
  readonly labels: Readonly<Record<string, string>>;
  readonly annotations: Readonly<Record<string, string>>;
  readonly serviceAccount: string;
  readonly hostname: string;
  readonly subdomain?: string;
  readonly restart: 'Always' | 'OnFailure' | 'Never';
  /** Of all that its processes come from: another one is another pod. */
  readonly revision: string;
  readonly graceMs: number;
  readonly sidecar: 'node' | 'envoy' | 'none';
  readonly containers: readonly ContainerPlan[];
  /** They run before these, one after the other, each to its end. */
  readonly inits?: readonly ContainerPlan[];
}

export interface ContainerPlan {
  readonly name: string;
  /** Absolute path. */
  readonly program: string;
  readonly args: readonly string[];
  readonly env: readonly EnvPlan[];
  readonly cwd: string;
  readonly ports: readonly { readonly name: string; readonly port: number }[];
  readonly readiness?: Probe;
  /** `exec` probe: its command runs as the container does. */
  readonly readinessCommand?: readonly string[];
  /** Its failure restarts the container. */
  readonly liveness?: Probe;
  readonly livenessCommand?: readonly string[];
  /** Until its first success the others are not asked; its failure restarts the container. */
  readonly startup?: Probe;
  readonly startupCommand?: readonly string[];
  /** Name of the variable by which the program takes its port where it can't have its own (DECISIONS L2, proxy mode). */
  readonly portEnv?: string;
}

/** `value` may hold `$(NAME)`; a `field` is known only when the pod runs. */
export type EnvPlan =
  | { readonly name: string; readonly value: string }
  | { readonly name: string; readonly field: 'podIP' | 'hostIP' | 'nodeName' | 'uid' };

export function podKey({ namespace, name }: { namespace: string; name: string }): string {
  return `${namespace}/${name}`;
}

/** What the user wrote that a pod comes from. */
export function resourceOf({ owner }: Pick<PodPlan, 'owner'>): ResourceRef {
  const [namespace = '', kind = '', name = ''] = owner.split('/');
  return { kind, namespace, name };
}
