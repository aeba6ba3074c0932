import type { Namespace, RawObject } from '../../catalog/snapshot.ts';
import type { PolicyMode } from '../../policy/inbound.ts';
import { type ObjectReader, pointer } from '../../smi/reader.ts';
import { findMeshKey, modeKey } from './mesh-keys.ts';
import { textMap } from './text-map.ts';

/** Decodes a core/v1 Namespace: meshed unless its label or annotation says otherwise (DECISIONS S13). */
export function decodeNamespace(raw: RawObject, reader: ObjectReader): Namespace {
  const labels = textMap(raw.metadata.labels);
  const annotations = textMap(raw.metadata.annotations);
  const mode = decodeMode(labels, annotations, reader);
  return {
    name: raw.metadata.name,
    // OSM counts the label's presence, whatever its value.
    meshed: findMeshKey(labels, 'ignore') === undefined && !isSwitchedOff(annotations),
    ...(mode !== undefined && { mode }),
  };
}

/** The annotation on a namespace or pod, or the label on a pod, read as OSM reads its annotation. */
export function isSwitchedOff(texts: Readonly<Record<string, string>> | undefined): boolean {
  const value = findMeshKey(texts, 'sidecar-injection')?.value.toLowerCase();
  return value === 'disabled' || value === 'no' || value === 'false';
}

/** A mode that can't be understood is taken as the strictest. */
function decodeMode(
  labels: Readonly<Record<string, string>>,
  annotations: Readonly<Record<string, string>>,
  reader: ObjectReader,
): PolicyMode | undefined {
  const mode = annotations[modeKey] ?? labels[modeKey];
  if (mode === undefined || mode === 'permissive' || mode === 'shadow' || mode === 'enforce') return mode;
  const field = pointer(modeKey in annotations ? '/metadata/annotations' : '/metadata/labels', modeKey);
  const message = `there is no mode "${mode.slice(0, 40)}", so enforce is taken`;
  reader.report(field, 'FieldInvalid', message, 'write permissive, shadow or enforce');
  return 'enforce';
}

const neverMeshed = ['kube-system', 'kube-public', 'kube-node-lease'];

/**
 * Decodes a core/v1 Namespace of a cluster: meshed when its label `monitored-by` names the mesh and it has no label
 * `ignore`. What Kubernetes itself and the control plane run in never is.
 */
export function decodeClusterNamespace(
  raw: RawObject,
  reader: ObjectReader,
  { meshName, controlNamespace }: { readonly meshName: string; readonly controlNamespace: string },
): Namespace {
  const { name } = raw.metadata;
  const labels = textMap(raw.metadata.labels);
  const meshed =
    !isNeverMeshed(name, controlNamespace) &&
    findMeshKey(labels, 'monitored-by')?.value === meshName &&
    findMeshKey(labels, 'ignore') === undefined;
  const mode = meshed ? decodeMode(labels, textMap(raw.metadata.annotations), reader) : undefined;
  return { name, meshed, ...(mode !== undefined && { mode }) };
}

function isNeverMeshed(name: string, controlNamespace: string): boolean {
  return name === controlNamespace || neverMeshed.includes(name);
}

/**
 * What a namespace that is not meshed counts as while pods with a sidecar live in it: as a meshed one, until they were
 * restarted. Undefined: it can't have left this mesh.
 */
export function decodeLeftNamespace(
  raw: RawObject,
  reader: ObjectReader,
  { meshName, controlNamespace }: { readonly meshName: string; readonly controlNamespace: string },
): Namespace | undefined {
  const { name } = raw.metadata;
  const labels = textMap(raw.metadata.labels);
  const mesh = findMeshKey(labels, 'monitored-by')?.value ?? meshName;
  if (mesh !== meshName || isNeverMeshed(name, controlNamespace)) return undefined;
  const mode = decodeMode(labels, textMap(raw.metadata.annotations), reader);
  const message =
    'it is not in the mesh, but pods in it still have a sidecar: they are served, and count, until they are restarted';
  const fix = `kubectl rollout restart deployment,statefulset,daemonset -n ${name}; or tulle namespace add ${name}, to have it back`;
  reader.report('/metadata/labels', 'NamespaceLeft', message, fix, 'warning');
  return { name, meshed: true, ...(mode !== undefined && { mode }) };
}
