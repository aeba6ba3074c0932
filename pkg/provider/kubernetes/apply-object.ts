import type { Cluster } from './cluster.ts';

/** The name under which the control plane's fields stand in `metadata.managedFields`. */
export const fieldManager = 'tulle-controller';

const requestMs = 10_000;

export interface AppliedObject {
  readonly apiVersion: string;
  readonly kind: string;
  readonly metadata: { readonly name: string; readonly namespace?: string; readonly [field: string]: unknown };
  readonly [field: string]: unknown;
}

/** What comes back of an object that was written. */
export interface WrittenObject {
  readonly metadata: {
    readonly name: string;
    readonly namespace?: string;
    readonly uid?: string;
    readonly resourceVersion?: string;
  };
}

/**
 * Server-side apply: the fields given are ours from now on, all others are left alone; an object that isn't there is
 * made. Kubernetes authorises it as `patch`, and as `create` with the object's name.
 */
export async function applyObject<T extends WrittenObject>(
  cluster: Cluster,
  path: string,
  body: AppliedObject,
  signal?: AbortSignal,
): Promise<T> {
  return cluster.request<T>('PATCH', path, {
    query: { fieldManager, force: true },
    contentType: 'application/apply-patch+yaml',
    body,
    timeoutMs: requestMs,
    ...(signal ? { signal } : {}),
  });
}
