import { sidecarName } from './decide-injection.ts';
import { InjectionRefused, ownKeys } from './keys.ts';
import type { Container, Pod, PodSpec } from './pod.ts';

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

/** Why the containers of such a pod can't be kept behind a gate; undefined: they can. */
export function whyNoGate(spec: PodSpec): string | undefined {
  const { initContainers = [], containers = [], restartPolicy = 'Always', terminationGracePeriodSeconds: grace } = spec;
  const [early] = initContainers;
  if (early) return `init container "${early.name}" would run before its sidecar, and outside of the mesh`;
  // It would not end beside its sidecar, or its first try at the gate would be its last.
  const once = containers.find((container) => container.restartPolicy !== undefined)?.restartPolicy;
  if (restartPolicy !== 'Always' || once !== undefined) return `its restartPolicy is ${once ?? restartPolicy}`;
  // The hook that shuts the gate has to run before a network without rules can follow.
  if (grace === 0) return 'it ends without hooks, as its terminationGracePeriodSeconds says';
  if (spec['shareProcessNamespace'] === true) return 'its containers share a process namespace';
  // The gate is one by how runc mounts.
  if (spec['runtimeClassName'] !== undefined) return 'its runtimeClassName may mount in another way';
  const mounts = containers.flatMap(({ volumeMounts = [] }) => volumeMounts).filter(({ name }) => name !== gateVolume);
  const above = mounts.find(({ mountPath = '' }) => isAtGate(mountPath));
  return above && `it mounts something at ${above.mountPath}, where the gate is`;
}

function isAtGate(mountPath: string): boolean {
  const path = withoutLastSlashes(mountPath);
  return (
    ['', '/run', '/var', '/var/run'].includes(path) || `${path}/`.replace(/^\/var/, '').startsWith('/run/tulle-start/')
  );
}

/** One look at each character: a pattern would look at all slashes anew from each of them. */
function withoutLastSlashes(path: string): string {
  let end = path.length;
  while (path[end - 1] === '/') end -= 1;
  return path.slice(0, end);
}

/**
 * A pod that was injected to start fast, as it is after what other webhooks have added: the sidecar is the first of the
 * containers, and all others are behind its gate.
 */
export function withGateKept(pod: Pod): Pod {
  const { containers = [] } = pod.spec ?? {};
  const why = whyNoGate(pod.spec ?? {});
  if (why !== undefined) {
    throw new InjectionRefused(
      `the pod was injected to start fast and was changed after that: ${why}. Set the annotation ${ownKeys.fastStart}: disabled on the pod`,
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
