import { sidecarName } from './decide-injection.ts';
import { InjectionRefused, ownKeys } from './keys.ts';
import type { Container, Pod } from './pod.ts';

export const gateVolume = 'tulle-start';
/** Folder that the sidecar's hook makes `open` in, once it is ready (cmd/pod-sidecar/tulle-wait.sh). */
export const gateDirectory = '/var/run/tulle-start';

/** Empties when the node restarts, as the packet rules do. */
export function toGateVolume(): { readonly name: string; readonly [field: string]: unknown } {
  return { name: gateVolume, emptyDir: { medium: 'Memory', sizeLimit: '64Ki' } };
}

/**
 * The container as it can't be started before the gate is open. The kubelet starts the containers of a pod one after the
 * other, and starts the next as well when one could not be started: its image is missing, or its hook has failed. What
 * keeps the app from running outside of the mesh then is a place that something is mounted at, in a folder that only the
 * sidecar may write to: as long as the place is not there, the container can't be made, and the kubelet tries again later.
 */
export function behindGate(container: Container): Container {
  const mounts = [
    { name: gateVolume, mountPath: gateDirectory, readOnly: true },
    { name: gateVolume, mountPath: `${gateDirectory}/open`, subPath: 'app', readOnly: true },
  ];
  return { ...container, volumeMounts: [...(container.volumeMounts ?? []), ...mounts] };
}

/** Where something is mounted there, the gate is not in a folder of ours. */
export function isAboveGate(mountPath: string): boolean {
  const path = mountPath.replace(/\/+$/, '');
  return ['', '/run', '/var', '/var/run', gateDirectory].includes(path) || path.startsWith(`${gateDirectory}/`);
}

/**
 * A pod that was injected to start fast, as it is after what other webhooks have added: the sidecar is the first of the
 * containers, and all others are behind its gate.
 */
export function withGateKept(pod: Pod): Pod {
  const { initContainers = [], containers = [] } = pod.spec ?? {};
  const [early] = initContainers;
  if (early) {
    throw new InjectionRefused(
      `the pod starts fast, and init container "${early.name}", which was added after its sidecar, would run before it and outside of the mesh: set the annotation ${ownKeys.fastStart}: disabled on the pod`,
    );
  }
  const isGated = ({ volumeMounts = [] }: Container): boolean =>
    volumeMounts.some(({ name, mountPath }) => name === gateVolume && mountPath === `${gateDirectory}/open`);
  const others = containers.filter(({ name }) => name !== sidecarName);
  const isKept = containers[0]?.name === sidecarName && others.every(isGated);
  if (isKept) return pod;
  const sidecars = containers.filter(({ name }) => name === sidecarName);
  const gated = others.map((container) => (isGated(container) ? container : behindGate(container)));
  return { ...pod, spec: { ...pod.spec, containers: [...sidecars, ...gated] } };
}
