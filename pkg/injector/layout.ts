import type { InjectionSettings } from './injection-settings.ts';
import { decodeSwitch, ownKeys } from './keys.ts';
import { allContainers, type Pod, type PodSpec } from './pod.ts';
import { whyNoGate } from './start-gate.ts';

/**
 * Where a pod's packet rules and its sidecar are (records 0009 and 0010):
 * `native`: the first init entry writes the rules, the second is the sidecar;
 * `ordinary`: the last init entry writes the rules, the sidecar is the first of the containers;
 * `fast`: no init entry; the sidecar is the first of the containers, and writes the rules.
 */
export type Layout = 'native' | 'ordinary' | 'fast';

export function chooseLayout(pod: Pod, settings: InjectionSettings): Layout {
  if (settings.fastStart === true && settings.privilegedInit !== true && mayStartFast(pod)) return 'fast';
  return hasNativeSidecars(settings) ? 'native' : 'ordinary';
}

function mayStartFast({ metadata, spec = {} }: Pod): boolean {
  const { annotations } = metadata ?? {};
  const wish = annotations?.[ownKeys.fastStart];
  if (wish !== undefined && !decodeSwitch({ key: ownKeys.fastStart, value: wish }, 'the pod')) return false;
  // Who writes a pod has no say in the image of what has capabilities.
  return annotations?.[ownKeys.image] === undefined && whyNoGate(spec) === undefined && !isOfRootAlone(spec);
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
