import { createListMap } from '../../catalog/lists.ts';
import { keepList, sameMembers } from '../../catalog/memo.ts';
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
  const collect = createCollector(createExtractor(options.defaultNamespace ?? 'default'));
  const collectPods = createCollector(createExtractor('default'));
  const decoders = createDecoders();
  const decode = {
    namespaces: createDecodeAll(decoders.namespace),
    services: createDecodeAll(decoders.service),
    workloads: createDecodeAll(decoders.workload),
    configMaps: createDecodeAll(decoders.configMap),
    endpoints: createDecodeAll(decoders.endpoints),
  };
  const addresses = createServiceAddresses();
  const assignAddresses = whileSame((services: readonly Service[]) => addresses.assign(services));
  const podPlanner = createPodPlanner();
  const readWritten = whileSame(written);
  const readRunning = whileSame(running);
  const decodeRunning = createListMap(({ raw }: Placed): Pod | undefined =>
    raw.kind === 'Pod' && groupOf(raw.apiVersion) === '' ? decoders.pod(raw, true) : undefined,
  );
  let last: MeshRead | undefined;

  function written(files: readonly SourceFile[]): Written {
    const { placed, unique, problems: found } = collect(files);
    const problems = [...found];
    const byRole = groupByRole(unique);
    const of = (role: Role): readonly Placed[] => byRole.get(role) ?? noObjects;

    const declared = decode.namespaces(of('namespace'), problems);
    const decodedServices = decode.services(of('service'), problems);
    const workloads = decode
      .workloads(of('workload'), problems)
      .filter((workload) => workload !== undefined)
      .filter(isToRun(of('workload')));
    const configMaps = decode.configMaps(of('configMap'), problems);
    const endpointSlices = decode.endpoints(of('endpoints'), problems).flat();
    reportIgnored(byRole, problems);

    const { services, conflicts } = assignAddresses(decodedServices);
    for (const { namespace, name, message, fix } of conflicts) {
      const object = unique.find(({ raw }) => isNamed(raw, 'Service', namespace, name));
      const resource = { kind: 'Service', namespace, name };
      const problem = { resource, field: '/spec/clusterIP', severity: 'error', reason: 'FieldInvalid' } as const;
      const position = object && positionOf(object, problem.field);
      problems.push({ ...problem, message, fix, ...(position && { position }) });
    }

    let index: ReadonlyMap<string, Placed> | undefined;
    let texts: ReadonlyMap<string, string> | undefined;
    return {
      declared,
      services,
      workloads,
      configMaps,
      endpointSlices,
      pods: of('workload').flatMap(({ raw }) => (raw.kind === 'Pod' ? raw : [])),
      smi: of('smi').map(({ raw }) => raw),
      namespaces: namesIn(placed, ({ raw }) => raw.metadata.namespace),
      problems,
      objects: placed.length,
      get files() {
        return (texts ??= new Map(files.map(({ name, text }) => [name, text])));
      },
      locate(resource, field) {
        index ??= indexByName(byRole);
        const object = index.get(`${resource.kind}\n${resource.namespace}\n${resource.name}`);
        return object && positionOf(object, field);
      },
    };
  }

  function running(podFiles: readonly SourceFile[]): Running {
    const { unique, problems } = collectPods(podFiles);
    return { pods: decodeRunning(unique).filter((pod) => pod !== undefined), problems };
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
      const names = namesIn(pods, ({ namespace }) => namespace, read.namespaces);
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
        get files() {
          return read.files;
        },
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

/** The result of before while the list has the members of before. */
function whileSame<T, R>(read: (list: readonly T[]) => R): (list: readonly T[]) => R {
  let last: { readonly list: readonly T[]; readonly result: R } | undefined;
  return (list) => {
    if (last === undefined || !sameMembers(last.list, list)) last = { list, result: read(list) };
    return last.result;
  };
}

const noObjects: readonly Placed[] = [];

/** Decodes what has one role; only what was not there before. Problems are added with their places. */
function createDecodeAll<T>(
  decode: (raw: RawObject) => { readonly value: T; readonly problems: readonly Problem[] },
): (objects: readonly Placed[], problems: Problem[]) => readonly T[] {
  const decodeEach = createListMap((object: Placed) => {
    const { value, problems } = decode(object.raw);
    return {
      value,
      problems: problems.map((problem) => ({ ...problem, position: positionOf(object, problem.field) })),
    };
  });
  return (objects, problems) =>
    decodeEach(objects).map(({ value, problems: found }) => {
      if (found.length > 0) problems.push(...found);
      return value;
    });
}

/** Most stand where their neighbours do. */
function namesIn<T>(list: readonly T[], nameOf: (member: T) => string, more?: Iterable<string>): Set<string> {
  const names = new Set(more);
  let last: string | undefined;
  for (const member of list) {
    const name = nameOf(member);
    if (name !== last) names.add(name);
    last = name;
  }
  return names;
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
