import type { EndpointSlice, MeshSnapshot, Namespace, Pod, RawObject, Service } from '../../catalog/snapshot.ts';
import type { Position, Problem } from '../../problem/problem.ts';
import { createDecoders } from './decoders.ts';
import { groupOf, type Role } from './kinds.ts';
import type { MeshRead, ReadOptions } from './mesh-read.ts';
import { createPodPlanner } from './planned-pods.ts';
import { createServiceAddresses } from './service-addresses.ts';
import {
  createCollector,
  groupByRole,
  type Placed,
  positionOf,
  reportIgnored,
  type SourceFile,
  withoutDuplicates,
} from './placed-objects.ts';
import { createExtractor } from './source-objects.ts';
import type { Workload } from './workload.ts';

export interface Assembler {
  assemble(files: readonly SourceFile[], podFiles?: readonly SourceFile[]): MeshRead;
}

/**
 * Makes a MeshRead of files, and remembers the one before, so that what did not change is the same reference.
 * Of several objects with one name the first stays, in the order of the files.
 */
export function createAssembler(options: Pick<ReadOptions, 'config' | 'defaultNamespace'>): Assembler {
  const collector = createCollector(createExtractor(options.defaultNamespace ?? 'default'));
  const podCollector = createCollector(createExtractor('default'));
  const decoders = createDecoders();
  const serviceAddresses = createServiceAddresses();
  const podPlanner = createPodPlanner();
  const readWritten = whileSame(written);
  const readRunning = whileSame(running);
  let last: MeshRead | undefined;

  function written(files: readonly SourceFile[]): Written {
    const problems: Problem[] = [];
    const placed = collector.collect(files, problems);
    const unique = withoutDuplicates(placed, problems);
    const byRole = groupByRole(unique);
    const decodeAll = <T>(role: Role, decode: (raw: RawObject) => { value: T; problems: readonly Problem[] }): T[] =>
      (byRole.get(role) ?? []).map((object) => {
        const { value, problems: found } = decode(object.raw);
        for (const problem of found) problems.push({ ...problem, position: positionOf(object, problem.field) });
        return value;
      });

    const declared = decodeAll('namespace', decoders.namespace);
    const decodedServices = decodeAll('service', decoders.service);
    const workloads = decodeAll('workload', decoders.workload)
      .filter((workload) => workload !== undefined)
      .filter(isToRun(byRole.get('workload') ?? []));
    const configMaps = decodeAll('configMap', decoders.configMap);
    const endpointSlices = decodeAll('endpoints', decoders.endpoints).flat();
    reportIgnored(byRole, problems);

    const { services, conflicts } = serviceAddresses.assign(decodedServices);
    for (const { namespace, name, message, fix } of conflicts) {
      const object = unique.find(({ raw }) => isNamed(raw, 'Service', namespace, name));
      const resource = { kind: 'Service', namespace, name };
      const problem = { resource, field: '/spec/clusterIP', severity: 'error', reason: 'FieldInvalid' } as const;
      const position = object && positionOf(object, problem.field);
      problems.push({ ...problem, message, fix, ...(position && { position }) });
    }

    let index: ReadonlyMap<string, Placed> | undefined;
    return {
      declared,
      services,
      workloads,
      configMaps,
      endpointSlices,
      pods: (byRole.get('workload') ?? []).map(({ raw }) => raw).filter(({ kind }) => kind === 'Pod'),
      smi: (byRole.get('smi') ?? []).map(({ raw }) => raw),
      namespaces: new Set(placed.map(({ raw }) => raw.metadata.namespace)),
      problems,
      objects: placed.length,
      files: new Map(files.map(({ name, text }) => [name, text])),
      locate(resource, field) {
        index ??= indexByName(byRole);
        const object = index.get(`${resource.kind}\n${resource.namespace}\n${resource.name}`);
        return object && positionOf(object, field);
      },
    };
  }

  function running(podFiles: readonly SourceFile[]): Running {
    const problems: Problem[] = [];
    const placed = podCollector.collect(podFiles, problems);
    const pods = withoutDuplicates(placed, problems)
      .filter(({ raw }) => raw.kind === 'Pod' && groupOf(raw.apiVersion) === '')
      .map(({ raw }) => decoders.pod(raw, true));
    return { pods, problems };
  }

  function planned({ declared, workloads, pods }: Written): Running {
    const unmeshed = new Set(declared.filter(({ meshed }) => !meshed).map(({ name }) => name));
    const isMeshed = (namespace: string): boolean => !unmeshed.has(namespace);
    const decodePod = (raw: RawObject): Pod => decoders.pod(raw, isMeshed(raw.metadata.namespace));
    return { pods: podPlanner.plan(workloads, pods, decodePod, isMeshed), problems: [] };
  }

  return {
    assemble(files, podFiles) {
      const read = readWritten(files);
      const { pods, problems } = podFiles ? readRunning(podFiles) : planned(read);
      const names = new Set(read.namespaces);
      for (const { namespace } of pods) names.add(namespace);
      const { services, endpointSlices, smi, locate, objects } = read;
      last = {
        snapshot: keepSnapshot(last?.snapshot, {
          config: options.config,
          namespaces: withUndeclared(read.declared, names, decoders.undeclaredNamespace),
          services,
          pods,
          endpointSlices,
          smi,
        }),
        problems: sortByPlace([...read.problems, ...problems], files),
        locate,
        workloads: keepList(last?.workloads, read.workloads),
        configMaps: keepList(last?.configMaps, read.configMaps),
        objects,
        files: read.files,
      };
      return last;
    },
  };
}

/** What the files say by themselves. */
interface Written extends Pick<MeshRead, 'workloads' | 'configMaps' | 'problems' | 'locate' | 'objects' | 'files'> {
  readonly declared: readonly Namespace[];
  readonly services: readonly Service[];
  readonly endpointSlices: readonly EndpointSlice[];
  readonly pods: readonly RawObject[];
  readonly smi: readonly RawObject[];
  /** All that some object stands in. */
  readonly namespaces: ReadonlySet<string>;
}

interface Running {
  readonly pods: readonly Pod[];
  readonly problems: readonly Problem[];
}

/** The result of before while the files are those of before. */
function whileSame<T>(read: (files: readonly SourceFile[]) => T): (files: readonly SourceFile[]) => T {
  let last: { readonly files: readonly SourceFile[]; readonly result: T } | undefined;
  return (files) => {
    if (last === undefined || !isSameList(last.files, files)) last = { files, result: read(files) };
    return last.result;
  };
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
  names: ReadonlySet<string>,
  undeclared: (name: string) => Namespace,
): Namespace[] {
  const known = new Set(declared.map(({ name }) => name));
  const more = [...names].filter((name) => name !== '' && !known.has(name)).sort();
  return [...declared, ...more.map(undeclared)];
}

function indexByName(byRole: ReadonlyMap<Role, readonly Placed[]>): ReadonlyMap<string, Placed> {
  const index = new Map<string, Placed>();
  for (const [role, objects] of byRole) {
    if (role === 'ignored') continue;
    for (const object of objects) {
      const { kind, metadata } = object.raw;
      index.set(`${kind}\n${metadata.namespace}\n${metadata.name}`, object);
    }
  }
  return index;
}

function sortByPlace(problems: readonly Problem[], files: readonly SourceFile[]): readonly Problem[] {
  if (problems.length < 2) return problems;
  const order = new Map(files.map(({ name }, i) => [name, i]));
  const rank = (position: Position | undefined): number =>
    position ? (order.get(position.file) ?? order.size) : order.size + 1;
  return [...problems].sort(
    ({ position: a }, { position: b }) =>
      rank(a) - rank(b) || (a?.line ?? 0) - (b?.line ?? 0) || (a?.column ?? 0) - (b?.column ?? 0),
  );
}

function isSameList<T>(a: readonly T[], b: readonly T[]): boolean {
  return a.length === b.length && a.every((item, i) => item === b[i]);
}

function keepList<T>(last: readonly T[] | undefined, next: readonly T[]): readonly T[] {
  return last !== undefined && isSameList(last, next) ? last : next;
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
