import type { ContainerStatus as LocalStatus } from '../local/pod-status.ts';
import { type ContainerStatus, isReady, type PodObject } from './cluster-pods.ts';
import type { PodView } from './mesh-view.ts';

const sidecarName = 'envoy';

/** A pod of a cluster, as the table of a mesh shows pods. */
export function toPodView({ metadata, spec, status }: PodObject): PodView {
  const sidecarFirst = (spec.initContainers ?? []).some(({ name }) => name === sidecarName);
  const inits = (status?.initContainerStatuses ?? []).filter(({ name }) => name !== sidecarName);
  const containers = (status?.containerStatuses ?? []).filter(({ name }) => name !== sidecarName);
  const sidecars = sidecarFirst ? status?.initContainerStatuses : status?.containerStatuses;
  const sidecar = sidecars?.find(({ name }) => name === sidecarName);
  const phase = status?.phase;
  const owner = metadata.ownerReferences?.[0];
  return {
    plan: {
      namespace: metadata.namespace,
      name: metadata.name,
      owner: owner === undefined ? '' : `${metadata.namespace}/${owner.kind}/${owner.name}`,
    },
    status: {
      phase: phase === 'Running' || phase === 'Succeeded' || phase === 'Failed' ? phase : 'Pending',
      ready: isReady({ metadata, spec, ...(status && { status }) }) && metadata.deletionTimestamp === undefined,
      stopping: metadata.deletionTimestamp !== undefined,
      ip: status?.podIP ?? '',
      containers: containers.map(toStatus),
      inits: inits.map(toStatus),
      sidecar: sidecar && toStatus(sidecar),
      addresses: [],
    },
  };
}

function toStatus({ name, ready, restartCount, state }: ContainerStatus): LocalStatus {
  const told = state?.terminated ?? state?.waiting;
  return {
    name,
    ready,
    restarts: restartCount,
    state: state?.terminated ? 'terminated' : state?.running ? 'running' : 'waiting',
    reason: told?.reason ?? '',
    message: told?.message ?? '',
  };
}
