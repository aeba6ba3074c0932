import type { EndpointSlice, Namespace, Pod, RawObject, Service } from '../../catalog/snapshot.ts';
import type { Outcome } from '../../problem/problem.ts';
import { smiKinds } from '../../smi/kinds.ts';
import { createReader, isJsonObject, type JsonObject, type ObjectReader } from '../../smi/reader.ts';
import { decodeEndpointSlice } from '../objects/endpoint-slice.ts';
import { fastStartKey, isOfMesh } from '../objects/mesh-keys.ts';
import { decodeClusterNamespace, decodeLeftNamespace, reportUnserved } from '../objects/namespace.ts';
import { decodeClusterPod } from '../objects/pod.ts';
import { decodeService } from '../objects/service.ts';
import { textMap } from '../objects/text-map.ts';
import type { WantedKind } from './discovery.ts';
import { decodeMeshConfigObject, type MeshConfigObject } from './mesh-config-object.ts';
import type { ReflectedResource, ResourcePath } from './reflected.ts';
import { withWrittenVersion } from './written-version.ts';

export interface ClusterNames {
  readonly meshName: string;
  readonly controlNamespace: string;
  /** Name of the MeshConfig object. */
  readonly meshConfig: string;
}

export interface KeptNamespace extends Outcome<Namespace> {
  readonly labels: Readonly<Record<string, string>>;
  /** Those of the mesh alone. */
  readonly annotations: Readonly<Record<string, string>>;
  /** What it counts as while pods with a sidecar of the mesh live in it though it is meshed no longer. */
  readonly left?: Outcome<Namespace>;
  /** What is said while there are such pods in it, and nobody saw it in the mesh. */
  readonly unserved: Outcome<undefined>;
}

export interface KeptPod {
  readonly pod: Pod;
  /** Whose sidecar it has, as the injection wrote it. */
  readonly mesh?: string;
  readonly ips: readonly string[];
  /** Addresses of its node, once it has one of its own. */
  readonly hostIps: readonly string[];
  /** It is on a node, with an app that waits at a gate for its sidecar: its token counts before its address is told. */
  readonly startsFast: boolean;
  /** It is on its way out: it may still serve what it has. */
  readonly deleting: boolean;
  /** Its containers have ended: its address may be another's by now. */
  readonly ended: boolean;
}

/** A policy of Open Service Mesh: known, and not in force. */
export interface KeptPolicy {
  readonly apiVersion: string;
  readonly kind: string;
}

/** One per kind that is followed. To follow another, add its line, and its part of the snapshot. */
export interface ClusterResources {
  readonly namespaces: ReflectedResource<KeptNamespace>;
  readonly services: ReflectedResource<Outcome<Service>>;
  readonly endpointSlices: ReflectedResource<Outcome<EndpointSlice | undefined>>;
  readonly pods: ReflectedResource<KeptPod>;
  readonly meshConfig: ReflectedResource<MeshConfigObject>;
  readonly smi: readonly ReflectedResource<RawObject>[];
  readonly osmPolicies: readonly ReflectedResource<KeptPolicy>[];
}

/** SMI's kinds, with the names of their resources. */
const smiWanted: readonly WantedKind[] = smiKinds.map(({ group, kind, versions }) => ({
  group,
  kind,
  versions,
  plural: `${kind.toLowerCase()}s`,
}));

const osmPolicies: readonly WantedKind[] = [
  ['Egress', 'egresses'] as const,
  ['IngressBackend', 'ingressbackends'] as const,
  ['Retry', 'retries'] as const,
  ['UpstreamTrafficSetting', 'upstreamtrafficsettings'] as const,
  ['Telemetry', 'telemetries'] as const,
].map(([kind, plural]) => ({ group: 'policy.openservicemesh.io', kind, plural, versions: ['v1alpha1'] }));

const meshConfigKind: WantedKind = {
  group: 'config.openservicemesh.io',
  kind: 'MeshConfig',
  plural: 'meshconfigs',
  versions: ['v1alpha1', 'v1alpha2'],
};

/**
 * What the provider may do, and needs to: `get` is for looking up one pod that was not seen yet. All of the cluster,
 * but for MeshConfigs, which are read in the control namespace.
 */
export const providerPermissions = {
  clusterRole: [
    { apiGroups: [''], resources: ['namespaces', 'services'], verbs: ['list', 'watch'] },
    { apiGroups: [''], resources: ['pods'], verbs: ['get', 'list', 'watch'] },
    { apiGroups: ['discovery.k8s.io'], resources: ['endpointslices'], verbs: ['list', 'watch'] },
    { apiGroups: ['access.smi-spec.io'], resources: ['traffictargets', 'identitybindings'], verbs: ['list', 'watch'] },
    {
      apiGroups: ['specs.smi-spec.io'],
      resources: ['httproutegroups', 'tcproutes', 'udproutes'],
      verbs: ['list', 'watch'],
    },
    { apiGroups: ['split.smi-spec.io'], resources: ['trafficsplits'], verbs: ['list', 'watch'] },
    {
      apiGroups: ['policy.openservicemesh.io'],
      resources: ['egresses', 'ingressbackends', 'retries', 'upstreamtrafficsettings', 'telemetries'],
      verbs: ['list', 'watch'],
    },
    // Writing Events about objects of any namespace (write-events.ts).
    { apiGroups: [''], resources: ['events'], verbs: ['create', 'patch'] },
  ],
  controlNamespaceRole: [
    { apiGroups: ['config.openservicemesh.io'], resources: ['meshconfigs'], verbs: ['list', 'watch'] },
  ],
} as const;

export function createClusterResources(
  names: ClusterNames,
  find: (wanted: WantedKind) => Promise<ResourcePath | undefined>,
): ClusterResources {
  return {
    namespaces: {
      name: 'namespaces',
      kind: 'Namespace',
      locate: fixed('/api/v1/namespaces', 'v1', 'Namespace'),
      trim: (raw, at) => {
        const object = toRawObject(raw, at);
        const { value, problems } = decode(object, (own, reader) => decodeClusterNamespace(own, reader, names));
        const nothing = { value: undefined, problems: [] };
        const { value: left, problems: leftProblems } = value.meshed
          ? nothing
          : decode(object, (own, reader) => decodeLeftNamespace(own, reader, names));
        const unserved = value.meshed ? nothing : decode(object, (own, reader) => reportUnserved(own, reader, names));
        const annotations = Object.entries(textMap(object.metadata.annotations)).filter(([key]) => isOfMesh(key));
        return {
          value,
          problems,
          labels: textMap(object.metadata.labels),
          annotations: Object.fromEntries(annotations),
          ...(left && { left: { value: left, problems: leftProblems } }),
          unserved,
        };
      },
    },
    services: {
      name: 'services',
      kind: 'Service',
      locate: fixed('/api/v1/services', 'v1', 'Service'),
      trim: (raw, at) => decode(toRawObject(raw, at), decodeService),
    },
    endpointSlices: {
      name: 'endpointslices.discovery.k8s.io',
      kind: 'EndpointSlice',
      locate: fixed('/apis/discovery.k8s.io/v1/endpointslices', 'discovery.k8s.io/v1', 'EndpointSlice'),
      trim: (raw, at) => decode(toRawObject(raw, at), decodeEndpointSlice),
    },
    pods: {
      name: 'pods',
      kind: 'Pod',
      locate: fixed('/api/v1/pods', 'v1', 'Pod'),
      trim: (raw, at) => toKeptPod(toRawObject(raw, at)),
    },
    meshConfig: {
      name: `${meshConfigKind.plural}.${meshConfigKind.group}`,
      kind: meshConfigKind.kind,
      locate: async () => inNamespace(await find(meshConfigKind), names.controlNamespace),
      query: { fieldSelector: `metadata.name=${names.meshConfig}` },
      trim: (raw, at) => decodeMeshConfigObject(toRawObject(raw, at)),
    },
    smi: smiWanted.map((wanted) => ({
      name: `${wanted.plural}.${wanted.group}`,
      kind: wanted.kind,
      locate: () => find(wanted),
      trim: (raw, at) => withWrittenVersion(toRawObject(raw, at)),
    })),
    osmPolicies: osmPolicies.map((wanted) => ({
      name: `${wanted.plural}.${wanted.group}`,
      kind: wanted.kind,
      locate: () => find(wanted),
      trim: (_, { apiVersion, kind }) => ({ apiVersion, kind }),
    })),
  };
}

/** The same kind in one namespace alone. */
export function inNamespace(at: ResourcePath | undefined, namespace: string): ResourcePath | undefined {
  if (at === undefined) return undefined;
  const end = at.path.lastIndexOf('/');
  return { ...at, path: `${at.path.slice(0, end)}/namespaces/${namespace}${at.path.slice(end)}` };
}

function fixed(path: string, apiVersion: string, kind: string): () => Promise<ResourcePath> {
  const at = { path, apiVersion, kind };
  return () => Promise.resolve(at);
}

function decode<T>(object: RawObject, read: (object: RawObject, reader: ObjectReader) => T): Outcome<T> {
  const { apiVersion, kind, metadata } = object;
  const reader = createReader({ apiVersion, kind, namespace: metadata.namespace, name: metadata.name });
  return { value: read(object, reader), problems: reader.problems };
}

export function toKeptPod(object: RawObject): KeptPod {
  const status = isJsonObject(object['status']) ? object['status'] : {};
  const spec = isJsonObject(object['spec']) ? object['spec'] : {};
  const pod = decodeClusterPod(object);
  const annotations = textMap(object.metadata.annotations);
  const mesh = annotations['tulle.dev/mesh'];
  const startsFast = pod.meshed && annotations[fastStartKey] === 'enabled' && typeof spec['nodeName'] === 'string';
  // After a sandbox is gone the kubelet goes on telling its address until the next one has all of its containers.
  const ips = startsFast && !hasSandbox(status) ? [] : toAddresses(status['podIPs'] ?? [{ ip: status['podIP'] }]);
  return {
    pod,
    ...(mesh !== undefined && { mesh }),
    ips,
    hostIps: toAddresses(status['hostIPs'] ?? [{ ip: status['hostIP'] }]),
    startsFast,
    deleting: 'deletionTimestamp' in object.metadata,
    ended: status['phase'] === 'Succeeded' || status['phase'] === 'Failed',
  };
}

/** Unless it is said that there is none: Kubernetes says it from 1.29 on. */
function hasSandbox({ conditions }: JsonObject): boolean {
  const all = Array.isArray(conditions) ? conditions.filter(isJsonObject) : [];
  return !all.some(({ type, status }) => type === 'PodReadyToStartContainers' && status === 'False');
}

function toAddresses(list: unknown): readonly string[] {
  if (!Array.isArray(list)) return [];
  return list.filter(isJsonObject).flatMap(({ ip }) => (typeof ip === 'string' && ip !== '' ? [ip] : []));
}

const bulky = ['kubectl.kubernetes.io/last-applied-configuration'];

/** The object without what nobody reads: who manages which field, what was applied last, its status unless it is a Pod's. */
export function toRawObject(raw: JsonObject, { apiVersion, kind }: ResourcePath): RawObject {
  const metadata = raw['metadata'] as JsonObject;
  const { name, namespace = '', labels, annotations, creationTimestamp, deletionTimestamp, ownerReferences } = metadata;
  const kept = Object.entries(textMap(annotations)).filter(([key]) => !bulky.includes(key));
  const object: RawObject & Record<string, unknown> = {
    ...raw,
    apiVersion,
    kind,
    metadata: {
      name: name as string,
      namespace: namespace as string,
      ...(labels !== undefined && labels !== null && { labels: labels as Readonly<Record<string, string>> }),
      ...(kept.length > 0 && { annotations: Object.fromEntries(kept) }),
      ...(typeof creationTimestamp === 'string' && { creationTimestamp }),
      ...(deletionTimestamp !== undefined && { deletionTimestamp }),
      ...(ownerReferences !== undefined && { ownerReferences }),
    },
  };
  if (kind !== 'Pod') delete object['status'];
  return object;
}
