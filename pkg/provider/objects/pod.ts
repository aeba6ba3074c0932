import type { Pod, RawObject } from '../../catalog/snapshot.ts';
import { isJsonObject, type JsonObject } from '../../smi/reader.ts';
import { injectedKey } from './mesh-keys.ts';
import { isSwitchedOff } from './namespace.ts';
import { textMap } from './text-map.ts';

/** Says where the sidecar of a pod accepts mutual TLS: `unix:/run/x/in-{port}.sock`. */
export const inboundAddressAnnotation = 'tulle.dev/inbound-address';
/** Says what made a pod: `ns/Kind/name`. */
export const ownerAnnotation = 'tulle.dev/owner';
/** `node`, `envoy`, or `none` for a pod without a sidecar. */
export const sidecarAnnotation = 'tulle.dev/sidecar';
/** Says where a browser finds the app of a pod: `http://127.0.0.1:40123`. */
export const appAddressAnnotation = 'tulle.dev/app-address';

/** Decodes a core/v1 Pod that runs somewhere. Fields that are absent or of a wrong shape take the defaults of Kubernetes. */
export function decodePod(raw: RawObject, namespaceIsMeshed: boolean): Pod {
  const { name, namespace } = raw.metadata;
  const annotations = textMap(raw.metadata.annotations);
  const spec = isJsonObject(raw['spec']) ? raw['spec'] : {};
  const status = isJsonObject(raw['status']) ? raw['status'] : {};
  const inboundAddress = annotations[inboundAddressAnnotation];
  const sidecar = annotations[sidecarAnnotation];
  const address = annotations[appAddressAnnotation];
  const owner = annotations[ownerAnnotation] ?? ownerOf(raw);
  const meshed = sidecar === undefined ? namespaceIsMeshed && !isSwitchedOff(annotations) : sidecar !== 'none';
  return {
    namespace,
    name,
    ...placeOf(raw, spec, status),
    meshed: meshed && spec['hostNetwork'] !== true,
    ports: portsOf(spec),
    ...(inboundAddress !== undefined && { inboundAddress }),
    ...(owner !== undefined && { owner }),
    ...((sidecar === 'node' || sidecar === 'envoy') && { sidecar }),
    ...(address !== undefined && { address }),
  };
}

const sidecarContainer = 'envoy';

/**
 * Decodes a core/v1 Pod of a cluster: meshed when it was injected. Annotations that say where a pod is reached mean
 * nothing here: who may write a pod must not send the traffic of others elsewhere.
 */
export function decodeClusterPod(raw: RawObject): Pod {
  const { name, namespace } = raw.metadata;
  const spec = isJsonObject(raw['spec']) ? raw['spec'] : {};
  const status = isJsonObject(raw['status']) ? raw['status'] : {};
  const meshed = isInjected(raw, spec);
  const owner = clusterOwnerOf(raw);
  return {
    namespace,
    name,
    ...placeOf(raw, spec, status),
    meshed,
    ports: portsOf(spec, meshed ? sidecarContainer : undefined),
    ...(owner !== undefined && { owner }),
    ...(meshed && { sidecar: 'envoy' as const }),
  };
}

function isInjected(raw: RawObject, spec: JsonObject): boolean {
  if (spec['hostNetwork'] === true || !(injectedKey in textMap(raw.metadata.annotations))) return false;
  return ['initContainers', 'containers'].some((field) => {
    const list = spec[field];
    return Array.isArray(list) && list.some((item) => isJsonObject(item) && item['name'] === sidecarContainer);
  });
}

/** A ReplicaSet stands for its Deployment, whose name it has, with a hash. */
function clusterOwnerOf(raw: RawObject): string | undefined {
  const owner = ownerOf(raw);
  const hash = textMap(raw.metadata.labels)['pod-template-hash'];
  const [namespace, kind, name] = owner?.split('/') ?? [];
  if (kind !== 'ReplicaSet' || hash === undefined || name?.endsWith(`-${hash}`) !== true) return owner;
  return `${namespace}/Deployment/${name.slice(0, -hash.length - 1)}`;
}

function placeOf(
  raw: RawObject,
  spec: JsonObject,
  status: JsonObject,
): Pick<Pod, 'serviceAccount' | 'labels' | 'ip' | 'hostNetwork' | 'hostname' | 'subdomain' | 'ready'> {
  const { hostname, subdomain } = spec;
  return {
    serviceAccount: serviceAccountOf(spec),
    labels: textMap(raw.metadata.labels),
    ip: typeof status['podIP'] === 'string' ? status['podIP'] : '',
    ...(spec['hostNetwork'] === true && { hostNetwork: true as const }),
    ...(typeof hostname === 'string' && hostname !== '' && { hostname }),
    ...(typeof subdomain === 'string' && subdomain !== '' && { subdomain }),
    ready: isReady(status) && raw.metadata['deletionTimestamp' as keyof typeof raw.metadata] === undefined,
  };
}

export function serviceAccountOf(spec: JsonObject): string {
  // `serviceAccount` is the old name, which the API server still fills in.
  const { serviceAccountName, serviceAccount } = spec;
  if (typeof serviceAccountName === 'string' && serviceAccountName !== '') return serviceAccountName;
  return typeof serviceAccount === 'string' && serviceAccount !== '' ? serviceAccount : 'default';
}

function ownerOf({ metadata }: RawObject): string | undefined {
  const owners: unknown = metadata['ownerReferences' as keyof typeof metadata];
  const owner = Array.isArray(owners)
    ? owners.filter(isJsonObject).find((ref) => ref['controller'] !== false)
    : undefined;
  const { kind, name } = owner ?? {};
  return typeof kind === 'string' && typeof name === 'string' ? `${metadata.namespace}/${kind}/${name}` : undefined;
}

/** A Pod with an address and no conditions was written by hand: it is meant to serve. */
function isReady(status: JsonObject): boolean {
  const { conditions, phase } = status;
  if (phase === 'Succeeded' || phase === 'Failed') return false;
  if (!Array.isArray(conditions)) return status['podIP'] !== undefined;
  const ready = conditions.filter(isJsonObject).find(({ type }) => type === 'Ready');
  return ready?.['status'] === 'True';
}

function portsOf(spec: JsonObject, except?: string): Pod['ports'] {
  const lists = ['containers', 'initContainers'].map((field) => spec[field]);
  return lists.flatMap((containers) =>
    (Array.isArray(containers) ? containers.filter(isJsonObject) : []).flatMap((container) => {
      if (except !== undefined && container['name'] === except) return [];
      const ports = container['ports'];
      return (Array.isArray(ports) ? ports.filter(isJsonObject) : []).flatMap(({ name, containerPort }) =>
        typeof containerPort === 'number' ? [{ name: typeof name === 'string' ? name : '', port: containerPort }] : [],
      );
    }),
  );
}
