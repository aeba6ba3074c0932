import type { InjectionSettings } from './injection-settings.ts';
import { decodeSwitch, ownKeys } from './keys.ts';
import { allContainers, type Pod, type PodSpec } from './pod.ts';
import { isAboveGate } from './start-gate.ts';

/**
 * Where a pod's packet rules and its sidecar are (records 0009 and 0010):
 * `native`: the first init entry writes the rules, the second is the sidecar;
 * `ordinary`: the last init entry writes the rules, the sidecar is the first of the containers;
 * `fast`: no init entry; the sidecar is the first of the containers and writes the rules itself.
 */
export type Layout = 'native' | 'ordinary' | 'fast';

export function chooseLayout(pod: Pod, settings: InjectionSettings): Layout {
  if (settings.fastStart === true && settings.privilegedInit !== true && mayStartFast(pod)) return 'fast';
  return hasNativeSidecars(settings) ? 'native' : 'ordinary';
}

/** Envoy outlives the app by ten seconds; apps that take longer to end need one that ends after them. */
const longestGrace = 30;

function mayStartFast({ metadata, spec = {} }: Pod): boolean {
  const { annotations } = metadata ?? {};
  const { containers = [], initContainers = [], restartPolicy = 'Always' } = spec;
  const { terminationGracePeriodSeconds: grace = 30 } = spec;
  const wish = annotations?.[ownKeys.fastStart];
  if (wish !== undefined && !decodeSwitch({ key: ownKeys.fastStart, value: wish }, 'the pod')) return false;
  return (
    // They would run before the sidecar.
    initContainers.length === 0 &&
    // It would not end beside its sidecar, or a first try at the gate would be its last.
    restartPolicy === 'Always' &&
    containers.every((container) => container.restartPolicy === undefined) &&
    containers.every(({ lifecycle }) => lifecycle?.preStop === undefined) &&
    // The hook that shuts the gate is run before a network without rules can follow.
    grace > 0 &&
    grace <= longestGrace &&
    spec['shareProcessNamespace'] !== true &&
    // The gate is one by how runc mounts, and only where nothing is mounted above it.
    spec['runtimeClassName'] === undefined &&
    containers.every(({ volumeMounts = [] }) => !volumeMounts.some(({ mountPath = '' }) => isAboveGate(mountPath))) &&
    // Who writes a pod has no say in the image of what has capabilities.
    annotations?.[ownKeys.image] === undefined &&
    !isOfRootAlone(spec)
  );
}

/** Envoy as an init container that goes on running: on by default since Kubernetes 1.29. */
function hasNativeSidecars({ nativeSidecars = 'auto', kubernetesMinor }: InjectionSettings): boolean {
  if (nativeSidecars !== 'auto') return nativeSidecars === 'always';
  return kubernetesMinor === undefined || kubernetesMinor >= 29;
}

/** The kubelet makes tokens readable for one user alone where all containers say that they run as it: Envoy would not be. */
function isOfRootAlone(spec: PodSpec): boolean {
  const { runAsUser, fsGroup } = spec.securityContext ?? {};
  return (
    fsGroup === undefined &&
    allContainers(spec).every(({ securityContext }) => (securityContext?.runAsUser ?? runAsUser) === 0)
  );
}
