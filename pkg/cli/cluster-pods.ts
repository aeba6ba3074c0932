import { injectedKey } from '../provider/objects/mesh-keys.ts';
import { isSwitchedOff } from '../provider/objects/namespace.ts';

/** What commands read of a Pod. */
export interface PodObject {
  readonly metadata: {
    readonly name: string;
    readonly namespace: string;
    readonly labels?: Readonly<Record<string, string>>;
    readonly annotations?: Readonly<Record<string, string>>;
    readonly deletionTimestamp?: string;
    readonly ownerReferences?: readonly { readonly kind: string; readonly name: string }[];
  };
  readonly spec: {
    readonly hostNetwork?: boolean;
    readonly serviceAccountName?: string;
    readonly containers: readonly { readonly name: string; readonly image?: string }[];
    readonly initContainers?: readonly { readonly name: string; readonly image?: string }[];
  };
  readonly status?: {
    readonly phase?: string;
    readonly podIP?: string;
    readonly conditions?: readonly {
      readonly type: string;
      readonly status: string;
      readonly reason?: string;
      readonly message?: string;
    }[];
    readonly containerStatuses?: readonly ContainerStatus[];
    readonly initContainerStatuses?: readonly ContainerStatus[];
  };
}

export interface ContainerStatus {
  readonly name: string;
  readonly ready: boolean;
  readonly restartCount: number;
  readonly image?: string;
  readonly state?: {
    readonly waiting?: { readonly reason?: string; readonly message?: string };
    readonly running?: object;
    readonly terminated?: { readonly exitCode: number; readonly reason?: string; readonly message?: string };
  };
}

/** Injected: by our own mark, and with the container that makes it true. */
export function hasSidecar({ metadata, spec }: PodObject): boolean {
  const named = [...spec.containers, ...(spec.initContainers ?? [])].some(({ name }) => name === 'envoy');
  return named && metadata.annotations?.[injectedKey] !== undefined;
}

export function isReady({ status }: PodObject): boolean {
  return status?.conditions?.some(({ type, status: is }) => type === 'Ready' && is === 'True') === true;
}

/** The pod itself wants no sidecar, whatever its namespace says. */
export function isOptedOut({ metadata, spec }: PodObject): boolean {
  return spec.hostNetwork === true || isSwitchedOff(metadata.annotations) || isSwitchedOff(metadata.labels);
}

/** It ran to its end: no restart is missing. */
export function isOver({ status, metadata }: PodObject): boolean {
  return status?.phase === 'Succeeded' || status?.phase === 'Failed' || metadata.deletionTimestamp !== undefined;
}
