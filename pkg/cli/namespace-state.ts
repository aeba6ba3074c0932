import { findMeshKey, modeKey } from '../provider/objects/mesh-keys.ts';

export interface NamespaceObject {
  readonly metadata: {
    readonly name: string;
    readonly uid?: string;
    readonly labels?: Readonly<Record<string, string>>;
    readonly annotations?: Readonly<Record<string, string>>;
    readonly deletionTimestamp?: string;
  };
}

export interface NamespaceState {
  readonly namespace: string;
  readonly mesh?: string;
  readonly ignored: boolean;
  /** As the namespace says; pods may say otherwise. Absent: the label alone is enough. */
  readonly injection?: string;
  /** Absent: as the mesh has it. */
  readonly mode?: string;
}

export function meshOf({ metadata }: NamespaceObject): string | undefined {
  return findMeshKey(metadata.labels, 'monitored-by')?.value;
}

export function isIgnored({ metadata }: NamespaceObject): boolean {
  return findMeshKey(metadata.labels, 'ignore') !== undefined;
}

export function stateOf(namespace: NamespaceObject): NamespaceState {
  const { name, labels, annotations } = namespace.metadata;
  const mesh = meshOf(namespace);
  const injection = findMeshKey(annotations, 'sidecar-injection')?.value;
  const mode = annotations?.[modeKey] ?? labels?.[modeKey];
  return {
    namespace: name,
    ...(mesh !== undefined && { mesh }),
    ignored: isIgnored(namespace),
    ...(injection !== undefined && { injection: toSwitch(injection) }),
    ...(mode !== undefined && { mode }),
  };
}

/** As OSM reads it: three words for each. */
function toSwitch(text: string): string {
  const word = text.toLowerCase();
  if (word === 'enabled' || word === 'yes' || word === 'true') return 'enabled';
  if (word === 'disabled' || word === 'no' || word === 'false') return 'disabled';
  return `"${text.slice(0, 30)}" (not understood)`;
}
