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
 * What a namespace that was meshed counts as while pods with a sidecar live in it: as a meshed one, until they were
 * restarted. Undefined: it did not just leave, it is another mesh's, or in none by its label `ignore`.
 */
export function decodeLeftNamespace(
  raw: RawObject,
  reader: ObjectReader,
  { meshName, controlNamespace }: { readonly meshName: string; readonly controlNamespace: string },
): Namespace | undefined {
  const { name } = raw.metadata;
  const labels = textMap(raw.metadata.labels);
  if (!mayHaveLeft(raw, { meshName, controlNamespace }) || findMeshKey(labels, 'ignore') !== undefined)
    return undefined;
  const mode = decodeMode(labels, textMap(raw.metadata.annotations), reader);
  const message =
    'it is not in the mesh, but pods in it still have a sidecar: they are served, and count, until they are restarted';
  const fix = `kubectl rollout restart deployment,statefulset,daemonset -n ${name}; or tulle namespace add ${name}, to have it back`;
  reader.report('/metadata/labels', 'NamespaceLeft', message, fix, 'warning');
  return { name, meshed: true, ...(mode !== undefined && { mode }) };
}

/**
 * Says of a namespace that is not meshed that pods in it seem to have a sidecar of this mesh. They are evidence of nothing:
 * who may create pods can give them that look.
 */
export function reportUnserved(
  raw: RawObject,
  reader: ObjectReader,
  names: { readonly meshName: string; readonly controlNamespace: string },
): undefined {
  if (!mayHaveLeft(raw, names)) return undefined;
  const { name } = raw.metadata;
  const ignored = findMeshKey(textMap(raw.metadata.labels), 'ignore');
  const why =
    ignored === undefined
      ? 'a control plane that did not see it leave the mesh does not serve them'
      : `its label ${ignored.key} keeps it out of any mesh, so that they are not served`;
  const back = ignored === undefined ? `; or tulle namespace add ${name}, to have it back` : '';
  reader.report(
    '/metadata/labels',
    'NamespaceLeft',
    `it is not in the mesh, but pods in it have a sidecar: ${why}`,
    `kubectl rollout restart deployment,statefulset,daemonset -n ${name}${back}`,
    'warning',
  );
  return undefined;
}

function mayHaveLeft(
  { metadata }: RawObject,
  { meshName, controlNamespace }: { readonly meshName: string; readonly controlNamespace: string },
): boolean {
  const mesh = findMeshKey(textMap(metadata.labels), 'monitored-by')?.value ?? meshName;
  return mesh === meshName && !isNeverMeshed(metadata.name, controlNamespace);
}
