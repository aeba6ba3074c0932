import { readFile } from 'node:fs/promises';
import { decodeJwt } from 'jose';
import type { Logger } from '../../observability/logger.ts';
import type { LeaseOptions } from '../../provider/kubernetes/lease.ts';

/** The token that the kubelet projects into this replica's pod for talking to the others, and whom it speaks for. */
export interface OwnToken {
  readonly token: string;
  readonly serviceAccount: { readonly namespace: string; readonly name: string; readonly uid: string };
  /** Name of the pod. */
  readonly pod: string;
}

/** Reads it; what it says is not verified, for it is our own. Throws when there is none, or it is bound to no pod. */
export async function readOwnToken(file: string): Promise<OwnToken> {
  const token = (await readFile(file, 'utf8')).trim();
  const { namespace, serviceaccount, pod } = toRecord(decodeJwt(token)['kubernetes.io']);
  const { name, uid } = toRecord(serviceaccount);
  const { name: podName } = toRecord(pod);
  if (!isText(namespace) || !isText(name) || !isText(uid) || !isText(podName)) {
    throw new Error(`${file} has no token of a ServiceAccount that is bound to a pod`);
  }
  return { token, serviceAccount: { namespace, name, uid }, pod: podName };
}

/** The Lease goes with the ServiceAccount: after an uninstall nobody may release it, and the next install would wait. */
export async function readOwner(file: string | undefined, log: Logger): Promise<LeaseOptions['owner']> {
  if (file === undefined) return undefined;
  try {
    const { name, uid } = (await readOwnToken(file)).serviceAccount;
    return { apiVersion: 'v1', kind: 'ServiceAccount', name, uid };
  } catch (error) {
    log.warn('the token of this replica could not be read: the Lease will stay after an uninstall', { error });
    return undefined;
  }
}

const isText = (value: unknown): value is string => typeof value === 'string' && value !== '';

function toRecord(value: unknown): Record<string, unknown> {
  return typeof value === 'object' && value !== null ? (value as Record<string, unknown>) : {};
}
