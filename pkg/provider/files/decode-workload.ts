import type { RawObject } from '../../catalog/snapshot.ts';
import { isJsonObject, type JsonObject, type ObjectReader, pointer } from '../../smi/reader.ts';
import { serviceAccountOf } from '../objects/pod.ts';
import { textMap } from '../objects/text-map.ts';
import { decodeContainer } from './decode-container.ts';
import type { InitContainer, Workload, WorkloadKind } from './workload.ts';

/** More replicas than a machine would run; a typing error must not start them. */
const maxReplicas = 1000;

/** Decodes what Kubernetes runs pods from. Undefined: it has no pod template that could be run. */
export function decodeWorkload(kind: WorkloadKind, raw: RawObject, reader: ObjectReader): Workload | undefined {
  const spec = reader.object(raw['spec'], '/spec');
  if (spec === undefined) return undefined;
  const isPod = kind === 'Pod';
  const template = isPod ? raw : reader.object(spec['template'], '/spec/template');
  const at = isPod ? '/spec' : '/spec/template/spec';
  const podSpec = template && reader.object(template['spec'], at);
  if (podSpec === undefined) return undefined;

  const metadata = isJsonObject(template?.['metadata']) ? template['metadata'] : {};
  const initContainers = listOf(podSpec['initContainers'], pointer(at, 'initContainers'), reader);
  const containers = [
    // A sidecar of the user's own: it runs beside the others as long as they do.
    ...initContainers.filter(({ object }) => object['restartPolicy'] === 'Always'),
    ...listOf(podSpec['containers'] ?? [], pointer(at, 'containers'), reader),
  ].flatMap(({ object, at: place }) => decodeContainer(object, place, reader) ?? []);
  const inits = initContainers
    .filter(({ object }) => object['restartPolicy'] !== 'Always')
    .flatMap(({ object, at: place }) => decodeInit(object, place, reader) ?? []);
  const { serviceName } = spec;
  const { hostname, subdomain } = podSpec;
  return {
    kind,
    namespace: raw.metadata.namespace,
    name: raw.metadata.name,
    replicas: decodeReplicas(kind, spec, reader),
    labels: textMap(metadata['labels']),
    annotations: textMap(metadata['annotations']),
    serviceAccount: serviceAccountOf(podSpec),
    ...(kind === 'StatefulSet' && typeof serviceName === 'string' && serviceName !== '' && { serviceName }),
    ...(typeof hostname === 'string' && hostname !== '' && { hostname }),
    ...(typeof subdomain === 'string' && subdomain !== '' && { subdomain }),
    hostNetwork: podSpec['hostNetwork'] === true,
    containers,
    ...(inits.length > 0 && { inits }),
    initContainers: initContainers
      .filter(({ object }) => object['restartPolicy'] !== 'Always')
      .map(({ object: { name } }) => (typeof name === 'string' ? name : '')),
  };
}

function decodeInit(object: JsonObject, at: string, reader: ObjectReader): InitContainer | undefined {
  const container = decodeContainer(object, at, reader);
  const { volumeMounts, volumeDevices, securityContext } = object;
  const { privileged, capabilities } = isJsonObject(securityContext) ? securityContext : {};
  const added = isJsonObject(capabilities) ? capabilities['add'] : undefined;
  const isFull = (value: unknown): boolean => Array.isArray(value) && value.length > 0;
  if (isFull(volumeMounts) || isFull(volumeDevices)) return container && { ...container, needsContainer: 'volumes' };
  if (privileged === true || isFull(added)) return container && { ...container, needsContainer: 'privileges' };
  return container;
}

function decodeReplicas(kind: WorkloadKind, spec: JsonObject, reader: ObjectReader): number {
  if (kind === 'Pod' || kind === 'DaemonSet') return 1;
  const name = kind === 'Job' ? 'parallelism' : 'replicas';
  const value = spec[name];
  if (value === undefined || value === null) return 1;
  if (typeof value === 'number' && Number.isInteger(value) && value >= 0 && value <= maxReplicas) return value;
  const message = `${name} is not a whole number from 0 to ${maxReplicas}, so 1 is taken`;
  reader.report(pointer('/spec', name), 'FieldInvalid', message, 'correct it');
  return 1;
}

function listOf(value: unknown, field: string, reader: ObjectReader): { object: JsonObject; at: string }[] {
  if (value === undefined || value === null) return [];
  return (reader.list(value, field) ?? []).flatMap((item, i) => {
    const at = pointer(field, i);
    const object = reader.object(item, at);
    return object ? [{ object, at }] : [];
  });
}
