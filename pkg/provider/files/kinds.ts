import type { RawObject } from '../../catalog/snapshot.ts';
import { isSmiObject } from '../../smi/decode.ts';
import { smiKinds } from '../../smi/kinds.ts';

/** What an object is to the mesh. `ignored`: nothing; `silent`: nothing either, and nobody wonders. */
export type Role =
  'smi' | 'unknownSmi' | 'namespace' | 'service' | 'endpoints' | 'workload' | 'configMap' | 'silent' | 'ignored';

/** By group and kind; the core group is ''. */
const roles: Readonly<Record<string, Role>> = {
  '/Namespace': 'namespace',
  '/Service': 'service',
  '/Endpoints': 'endpoints',
  'discovery.k8s.io/EndpointSlice': 'endpoints',
  '/Pod': 'workload',
  '/ConfigMap': 'configMap',
  '/ServiceAccount': 'silent',
  'apps/Deployment': 'workload',
  'apps/StatefulSet': 'workload',
  'apps/DaemonSet': 'workload',
  'apps/ReplicaSet': 'workload',
  'extensions/Deployment': 'workload',
  'extensions/DaemonSet': 'workload',
  'batch/Job': 'workload',
};

export function groupOf(apiVersion: string): string {
  return apiVersion.includes('/') ? (apiVersion.split('/')[0] ?? '') : '';
}

export function roleOf({ apiVersion, kind }: RawObject): Role {
  if (isSmiObject(apiVersion, kind)) return 'smi';
  const group = groupOf(apiVersion);
  const key = `${group}/${kind}`;
  if (Object.hasOwn(roles, key)) return roles[key] ?? 'ignored';
  return smiKinds.some((known) => known.group === group) ? 'unknownSmi' : 'ignored';
}
