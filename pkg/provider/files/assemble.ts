import type {
  EndpointSlice,
  Locate,
  MeshSnapshot,
  Namespace,
  Pod,
  RawObject,
  Service,
} from '../../catalog/snapshot.ts';
import type { Position, Problem } from '../../problem/problem.ts';
import type { FileFault } from './bounded-file.ts';
import { createDecoders } from './decoders.ts';
import { groupOf, roleOf } from './kinds.ts';
import type { MeshRead, ReadOptions } from './mesh-read.ts';
import { createPodPlanner } from './planned-pods.ts';
import { createServiceAddresses } from './service-addresses.ts';
import { createExtractor, type Extractor, type SourceObject } from './source-objects.ts';
import type { Workload } from './workload.ts';
import { placeOf, type YamlDocument } from './yaml-documents.ts';

/** A file as it was read last. */
export interface SourceFile {
  /** As positions name it. */
  readonly name: string;
  readonly text: string;
  readonly documents: readonly YamlDocument[];
  readonly fault?: { readonly reason: FileFault; readonly message: string; readonly fix: string };
}

interface Placed extends SourceObject {
  readonly file: string;
  readonly document: YamlDocument;
}

export interface Assembler {
  assemble(files: readonly SourceFile[], podFiles?: readonly SourceFile[]): MeshRead;
}

/**
 * Makes a MeshRead of files, and remembers the one before, so that what did not change is the same reference.
 * Of several objects with one name the first stays, in the order of the files.
 */
export function createAssembler(options: Pick<ReadOptions, 'config' | 'defaultNamespace'>): Assembler {
  const extractor = createExtractor(options.defaultNamespace ?? 'default');
  const podExtractor = createExtractor('default');
  const decoders = createDecoders();
  const serviceAddresses = createServiceAddresses();
  const podPlanner = createPodPlanner();
  let last: MeshRead | undefined;

  function assemble(files: readonly SourceFile[], podFiles?: readonly SourceFile[]): MeshRead {
    const problems: Problem[] = [];
    const placed = collect(files, extractor, problems);
    extractor.remember(placed);
    const unique = withoutDuplicates(placed, problems);
    const decodeAll = <T>(kind: string, decode: (raw: RawObject) => { value: T; problems: readonly Problem[] }): T[] =>
      unique
        .filter(({ raw }) => roleOf(raw) === kind)
        .map((object) => {
          const { value, problems: found } = decode(object.raw);
          problems.push(...found.map((problem) => ({ ...problem, position: positionOf(object, problem.field) })));
          return value;
        });

    const declared = decodeAll('namespace', decoders.namespace);
    const isMeshed = (name: string): boolean => declared.find((namespace) => namespace.name === name)?.meshed ?? true;
    const decodedServices = decodeAll('service', decoders.service);
    const workloads = decodeAll('workload', decoders.workload).filter((workload) => workload !== undefined);
    const configMaps = decodeAll('configMap', decoders.configMap);
    const endpointSlices = decodeAll('endpoints', decoders.endpoints).flat();
    reportIgnored(placed, problems);

    const { services, conflicts } = serviceAddresses.assign(decodedServices);
    for (const { namespace, name, message, fix } of conflicts) {
      const object = unique.find(({ raw }) => isNamed(raw, 'Service', namespace, name));
      const resource = { kind: 'Service', namespace, name };
      const problem = { resource, field: '/spec/clusterIP', severity: 'error', reason: 'FieldInvalid' } as const;
      const position = object && positionOf(object, problem.field);
      problems.push({ ...problem, message, fix, ...(position && { position }) });
    }

    const written = unique.filter(({ raw }) => roleOf(raw) === 'workload' && raw.kind === 'Pod').map(({ raw }) => raw);
    const pods = podFiles
      ? runningPods(podFiles, problems)
      : podPlanner.plan(workloads, written, (raw) => decoders.pod(raw, isMeshed(raw.metadata.namespace)), isMeshed);
    const smi = unique.filter(({ raw }) => roleOf(raw) === 'smi').map(({ raw }) => raw);
    const names = [...placed.map(({ raw }) => raw.metadata.namespace), ...pods.map(({ namespace }) => namespace)];
    const namespaces = withUndeclared(declared, names, decoders.undeclaredNamespace);

    const index = new Map<string, Placed>();
    for (const object of unique) {
      const { kind, metadata } = object.raw;
      if (roleOf(object.raw) !== 'ignored') index.set(`${kind}\n${metadata.namespace}\n${metadata.name}`, object);
    }
    const locate: Locate = (resource, field) => {
      const object = index.get(`${resource.kind}\n${resource.namespace}\n${resource.name}`);
      return object && positionOf(object, field);
    };

    const order = new Map(files.map(({ name }, i) => [name, i]));
    const read: MeshRead = {
      snapshot: keepSnapshot(last?.snapshot, {
        config: options.config,
        namespaces,
        services,
        pods,
        endpointSlices,
        smi,
      }),
      problems: sortByPlace(problems, order),
      locate,
      workloads: keepList(last?.workloads, workloads.filter(isToRun(unique))),
      configMaps: keepList(last?.configMaps, configMaps),
      objects: placed.length,
      files: new Map(files.map(({ name, text }) => [name, text])),
    };
    last = read;
    return read;
  }

  function runningPods(podFiles: readonly SourceFile[], problems: Problem[]): Pod[] {
    const placed = collect(podFiles, podExtractor, problems);
    podExtractor.remember(placed);
    return withoutDuplicates(placed, problems)
      .filter(({ raw }) => raw.kind === 'Pod' && groupOf(raw.apiVersion) === '')
      .map(({ raw }) => decoders.pod(raw, true));
  }

  return { assemble };
}

function positionOf({ file, document, at }: Placed, field: string): Position {
  return { file, ...placeOf(document, at + field) };
}

/** All objects of the files; what can't be one becomes a problem. */
function collect(files: readonly SourceFile[], extractor: Extractor, problems: Problem[]): Placed[] {
  return files.flatMap(({ name: file, documents, fault }) => {
    const resource = { kind: 'File', namespace: '', name: '' };
    if (fault) {
      problems.push({ resource, field: '', severity: 'error', ...fault, position: { file, line: 1, column: 1 } });
    }
    return documents.flatMap((document) => {
      if (document.fault) {
        const { message, line, column } = document.fault;
        problems.push({
          resource: { ...resource, kind: 'Document' },
          field: '',
          severity: 'error',
          reason: 'SyntaxError',
          message: `${message}, so nothing of this document is in force; the others of the file are`,
          fix: 'correct it; documents are separated by a line "---"',
          position: { file, line, column },
        });
      }
      const { objects, problems: found } = extractor.objectsOf(document);
      for (const problem of found) {
        problems.push({ ...problem, position: { file, ...placeOf(document, problem.field) } });
      }
      return objects.map((object) => ({ ...object, file, document }));
    });
  });
}

function withoutDuplicates(placed: readonly Placed[], problems: Problem[]): Placed[] {
  const first = new Map<string, Placed>();
  return placed.filter((object) => {
    const { apiVersion, kind, metadata } = object.raw;
    const key = `${groupOf(apiVersion)}\n${kind}\n${metadata.namespace}\n${metadata.name}`;
    const other = first.get(key);
    if (other === undefined) {
      first.set(key, object);
      return true;
    }
    const { line } = positionOf(other, '/metadata/name');
    problems.push({
      resource: { apiVersion, kind, namespace: metadata.namespace, name: metadata.name },
      field: '/metadata/name',
      severity: 'error',
      reason: 'DuplicateObject',
      message: `it stands in ${other.file}:${line} already, and that one is in force`,
      fix: 'remove one of them, or give it another name',
      position: positionOf(object, '/metadata/name'),
    });
    return false;
  });
}

/** One line for each kind that plays no part here, however many objects there are of it. */
function reportIgnored(placed: readonly Placed[], problems: Problem[]): void {
  const kinds = new Map<string, Placed[]>();
  for (const object of placed) {
    const { apiVersion, kind, metadata } = object.raw;
    const role = roleOf(object.raw);
    if (role === 'unknownSmi') {
      problems.push({
        resource: { apiVersion, kind, namespace: metadata.namespace, name: metadata.name },
        field: '/kind',
        severity: 'error',
        reason: 'KindUnsupported',
        message: `${groupOf(apiVersion)} has no kind "${kind.slice(0, 60)}", so it is passed over`,
        fix: 'correct the kind; case counts',
        position: positionOf(object, '/kind'),
      });
    } else if (role === 'ignored') {
      const key = `${groupOf(apiVersion)}\n${kind}`;
      kinds.set(key, [...(kinds.get(key) ?? []), object]);
    }
  }
  for (const [object, ...more] of kinds.values()) {
    if (object === undefined) continue;
    const { apiVersion, kind } = object.raw;
    problems.push({
      resource: { apiVersion, kind, namespace: '', name: '' },
      field: '',
      severity: 'info',
      reason: 'KindIgnored',
      message: `${more.length + 1} of kind ${kind} (${apiVersion}) ${more.length > 0 ? 'play' : 'plays'} no part here`,
      fix: 'nothing: a cluster may need it',
      position: positionOf(object, '/kind'),
    });
  }
}

/** A Pod or ReplicaSet that something else made is not run a second time. */
function isToRun(objects: readonly Placed[]): (workload: Workload) => boolean {
  const owned = new Set<string>();
  for (const { raw } of objects) {
    const isOwned = 'ownerReferences' in raw.metadata;
    if (isOwned && raw.kind !== 'Job') owned.add(`${raw.kind}\n${raw.metadata.namespace}\n${raw.metadata.name}`);
  }
  return ({ kind, namespace, name }) => !owned.has(`${kind}\n${namespace}\n${name}`);
}

function isNamed(raw: RawObject, kind: string, namespace: string, name: string): boolean {
  return raw.kind === kind && raw.metadata.namespace === namespace && raw.metadata.name === name;
}

/** Namespaces that nobody declared exist all the same, and are meshed. */
function withUndeclared(
  declared: readonly Namespace[],
  names: readonly string[],
  undeclared: (name: string) => Namespace,
): Namespace[] {
  const known = new Set(declared.map(({ name }) => name));
  const more = [...new Set(names)].filter((name) => name !== '' && !known.has(name)).sort();
  return [...declared, ...more.map(undeclared)];
}

function sortByPlace(problems: readonly Problem[], order: ReadonlyMap<string, number>): Problem[] {
  const rank = (position: Position | undefined): number =>
    position ? (order.get(position.file) ?? order.size) : order.size + 1;
  return [...problems].sort(
    ({ position: a }, { position: b }) =>
      rank(a) - rank(b) || (a?.line ?? 0) - (b?.line ?? 0) || (a?.column ?? 0) - (b?.column ?? 0),
  );
}

function keepList<T>(last: readonly T[] | undefined, next: readonly T[]): readonly T[] {
  const same = last !== undefined && last.length === next.length && last.every((item, i) => item === next[i]);
  return same ? last : next;
}

function keepSnapshot(last: MeshSnapshot | undefined, next: MeshSnapshot): MeshSnapshot {
  if (last === undefined) return next;
  const kept: MeshSnapshot = {
    config: next.config,
    namespaces: keepList<Namespace>(last.namespaces, next.namespaces),
    services: keepList<Service>(last.services, next.services),
    pods: keepList<Pod>(last.pods, next.pods),
    endpointSlices: keepList<EndpointSlice>(last.endpointSlices, next.endpointSlices),
    smi: keepList<RawObject>(last.smi, next.smi),
  };
  const isSame = (Object.keys(kept) as (keyof MeshSnapshot)[]).every((key) => kept[key] === last[key]);
  return isSame ? last : kept;
}
