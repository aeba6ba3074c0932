import type { InjectionSettings } from './injection-settings.ts';
import { allContainers, type PodSpec } from './pod.ts';

/**
 * Where a pod's packet rules and its sidecar are (record 0009):
 * `separate`: the first init entry writes the rules, the second is the native sidecar, without root;
 * `one`: the first init entry is a native sidecar, which writes the rules and then becomes Envoy;
 * `ordinary`: the last init entry writes the rules, the sidecar is the first of the containers.
 */
export type Layout = 'separate' | 'one' | 'ordinary';

export function chooseLayout(spec: PodSpec, settings: InjectionSettings): Layout {
  if (!hasNativeSidecars(settings)) return 'ordinary';
  const { oneEntry = false, privilegedInit = false } = settings;
  return oneEntry && !privilegedInit && !isOfRootAlone(spec) ? 'one' : 'separate';
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
