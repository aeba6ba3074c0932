import type { PolicyMode } from '../policy/inbound.ts';
import { findMeshKey, type FoundKey, modeKey } from '../provider/objects/mesh-keys.ts';
import { toOneLine } from './cluster-text.ts';

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
  /** In force. Absent: as the mesh has it. */
  readonly mode?: PolicyMode;
  /** What is written there and is no mode, so that it enforces. */
  readonly unknownMode?: string;
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
  const written = annotations?.[modeKey] ?? labels?.[modeKey];
  const mode = written === undefined || isMode(written) ? written : 'enforce';
  return {
    namespace: name,
    ...(mesh !== undefined && { mesh }),
    ignored: isIgnored(namespace),
    ...(injection !== undefined && { injection: toSwitch(injection) }),
    ...(mode !== undefined && { mode }),
    ...(written !== mode && { unknownMode: toOneLine(written ?? '', 40) }),
  };
}

function isMode(text: string): text is PolicyMode {
  return text === 'permissive' || text === 'shadow' || text === 'enforce';
}

/** As OSM reads it: three words for each. */
function toSwitch(text: string): string {
  const word = text.toLowerCase();
  if (word === 'enabled' || word === 'yes' || word === 'true') return 'enabled';
  if (word === 'disabled' || word === 'no' || word === 'false') return 'disabled';
  return `"${toOneLine(text, 30)}" (not understood)`;
}

/** Annotations by which every pod is refused that gets its sidecar by them, since they say neither yes nor no. */
export function unclearSwitches({ metadata }: NamespaceObject): readonly FoundKey[] {
  const all = [findMeshKey(metadata.annotations, 'sidecar-injection'), findMeshKey(metadata.annotations, 'metrics')];
  return all.flatMap((found) => {
    if (found === undefined || !toSwitch(found.value).startsWith('"')) return [];
    // The injection takes that for no.
    if (found.value === '' && found.key.endsWith('/metrics')) return [];
    return [{ key: found.key, value: toOneLine(found.value, 40) }];
  });
}

/** The level of Pod Security by which `tulle-init` is refused, which redirects traffic. */
export function strictPodSecurity({ metadata }: NamespaceObject): 'restricted' | 'baseline' | undefined {
  const level = metadata.labels?.['pod-security.kubernetes.io/enforce'];
  return level === 'restricted' || level === 'baseline' ? level : undefined;
}

export function allowPrivileged(namespace: string): string {
  return `kubectl label namespace ${namespace} pod-security.kubernetes.io/enforce=privileged --overwrite`;
}
