import { findMeshKey } from '../provider/objects/mesh-keys.ts';
import type { InjectionNamespace, InjectionSettings } from './injection-settings.ts';
import { decodeSwitch, ownKeys } from './keys.ts';
import { allContainers } from './pod.ts';
import type { Pod } from './pod.ts';

/** The name of the sidecar's container, as OSM has it. */
export const sidecarName = 'envoy';

const neverInjected = new Set(['kube-system', 'kube-public', 'kube-node-lease']);

/**
 * Whether a pod gets a sidecar; `undefined`: yes, else why not. Throws `InjectionRefused` where it isn't said clearly.
 *
 * The order is OSM's: a pod of the host's network never; a namespace that is not of the mesh never; then what the pod
 * says; then what its namespace says. Unlike OSM's, a namespace of the mesh that says nothing is injected: its label is
 * enough. What `osm namespace add --disable-sidecar-injection` wrote is still respected.
 */
export function whyNotInjected(
  pod: Pod,
  namespace: InjectionNamespace,
  settings: Pick<InjectionSettings, 'meshName' | 'controlNamespace'>,
): string | undefined {
  const { spec, metadata } = pod;
  if (spec?.hostNetwork === true) return 'the pod uses the network of its node';
  if (metadata?.annotations?.['kubernetes.io/config.mirror'] !== undefined) return 'the pod mirrors a static one';
  const outside = whyNotOfTheMesh(namespace, settings);
  if (outside !== undefined) return outside;
  if (spec?.os?.name === 'windows' || spec?.nodeSelector?.['kubernetes.io/os'] === 'windows') {
    return 'the pod runs on Windows';
  }
  if (isInjected(pod)) return 'the pod has its sidecar';
  // As a label it also keeps the API server from asking, which selects by labels: such a pod starts without a control plane.
  const own =
    findMeshKey(metadata?.annotations, 'sidecar-injection') ?? findMeshKey(metadata?.labels, 'sidecar-injection');
  if (own !== undefined) return decodeSwitch(own, 'the pod') ? undefined : `the pod says ${own.key}: ${own.value}`;
  const all = findMeshKey(namespace.annotations, 'sidecar-injection');
  if (all === undefined) return undefined;
  const where = `namespace ${namespace.name}`;
  return decodeSwitch(all, where) ? undefined : `${where} says ${all.key}: ${all.value}`;
}

/** Whether the namespace itself is out of it: this may be stale news, the rest is not. */
export function whyNotOfTheMesh(
  { name, labels }: InjectionNamespace,
  { meshName, controlNamespace }: Pick<InjectionSettings, 'meshName' | 'controlNamespace'>,
): string | undefined {
  if (neverInjected.has(name)) return `namespace ${name} is never injected`;
  if (name === controlNamespace) return `namespace ${name} is the control plane's`;
  const monitored = findMeshKey(labels, 'monitored-by');
  if (monitored?.value !== meshName) return `namespace ${name} is not of mesh ${meshName}`;
  const ignored = findMeshKey(labels, 'ignore');
  if (ignored !== undefined) return `namespace ${name} has the label ${ignored.key}`;
  return undefined;
}

/** The annotation alone doesn't prove it: who copies a pod may drop the sidecar and keep the annotation. */
export function isInjected({ metadata, spec }: Pod): boolean {
  return (
    metadata?.annotations?.[ownKeys.injected] !== undefined &&
    allContainers(spec ?? {}).some(({ name }) => name === sidecarName)
  );
}
