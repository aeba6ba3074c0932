import type { Container } from './pod.ts';

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
