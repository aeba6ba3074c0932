import type { Endpoint, EndpointAddress, EndpointSet } from '../policy/endpoints.ts';
import type { ServiceIdentity } from '../policy/identity.ts';
import type { AppProtocol } from '../policy/inbound.ts';
import type { ServicePortKey } from '../policy/outbound.ts';
import type { Problem } from '../problem/problem.ts';
import { createForeign, type ForeignAddress, reportForeign } from './foreign-addresses.ts';
import { createGroupsOf, createLastRound, createSorted } from './lists.ts';
import { keepList, sameContent, sameMembers } from './memo.ts';
import type { Namespaces } from './namespaces.ts';
import { compareKey, compareName, compareText } from './order.ts';
import { podEndpoint, targetPortOf } from './pod-endpoint.ts';
import { protocolOf } from './protocol.ts';
import type { EndpointSlice, Service, ServicePort } from './snapshot.ts';
import { hasAddress, type Workload, type Workloads } from './workloads.ts';

/** A TCP port of a Service and what stands behind it. */
export interface Backing {
  readonly key: ServicePortKey;
  readonly service: Service;
  /** Which of the Service's ports it is. */
  readonly index: number;
  readonly port: number;
  readonly protocol: AppProtocol;
  /** Sorted by pod. */
  readonly members: readonly Member[];
  /** Pods that it will lead to once they have an address and slices name them: what they accept has to be in force by then. */
  readonly starting: readonly { readonly workload: Workload; readonly port: number }[];
  /** All members: nobody's view is limited. */
  readonly endpoints: EndpointSet;
  readonly problems: readonly Problem[];
}

export interface Member {
  readonly endpoint: Endpoint;
  /** Absent: an address that is no pod of ours. */
  readonly workload?: Workload;
}

/** Lists, for every Service port, who stands behind it: by EndpointSlices where there are some, else by selector. */
export function createBackings(): (
  services: readonly Service[],
  slices: readonly EndpointSlice[],
  workloads: Workloads,
  namespaces: Namespaces,
) => readonly Backing[] {
  const inOrder = createSorted<Service>(compareName);
  const groupSlices = createGroupsOf(
    ({ namespace, service }: EndpointSlice) => [`${namespace}/${service}`],
    compareName,
  );
  const foreignTo = createForeign();
  const served = createLastRound(({ id }: Served) => id);
  let latest: readonly Backing[] = [];
  /** What `served` was made of, besides the Services themselves. */
  let around: readonly unknown[] = [];
  let lastForeign: unknown;

  return (services, slices, workloads, namespaces) => {
    const slicesOf = groupSlices(slices);
    const foreign = foreignTo(services, workloads);
    const now = [slicesOf, workloads, namespaces];
    const isSettled = sameMembers(around, now);
    const next = inOrder(services).map((service, place): Served => {
      const id = idOf(service);
      const before = served.at(place, id);
      const stays = isSettled && before?.service === service;
      if (stays && (foreign === lastForeign || sameContent(before.refused, foreign.among(before.own)))) return before;
      if (service.externalName !== undefined) return { ...nothingBehind, id, service };
      const own = slicesOf.get(id) ?? noSlices;
      const pods = own.length > 0 ? podsOf(service, own, workloads) : selectedBy(service, workloads);
      const meshed = namespaces.isMeshed(service.namespace);
      const refused = foreign.among(own);
      const isSame =
        before?.service === service &&
        before.own === own &&
        before.meshed === meshed &&
        sameMembers(before.pods, pods) &&
        sameContent(before.refused, refused);
      return isSame ? before : serve(id, { service, own, pods, meshed, refused }, before);
    });
    around = now;
    lastForeign = foreign;
    const backings: Backing[] = [];
    for (const { backings: ports } of served.keep(next)) for (const backing of ports) backings.push(backing);
    latest = keepList(latest, backings);
    return latest;
  };
}

/** What the ports of a Service are made of. */
interface Behind {
  readonly service: Service;
  readonly own: readonly EndpointSlice[];
  readonly pods: readonly Workload[];
  readonly meshed: boolean;
  /** What its slices name and nobody is led to. */
  readonly refused: readonly ForeignAddress[];
}

interface Served extends Behind {
  readonly id: string;
  readonly backings: readonly Backing[];
}

const noSlices: readonly EndpointSlice[] = [];
const nothingBehind = { own: noSlices, pods: [], meshed: false, refused: [], backings: [] };
const noSelector = {};
const ids = new WeakMap<Service, string>();

function idOf(service: Service): string {
  const id = ids.get(service) ?? `${service.namespace}/${service.name}`;
  ids.set(service, id);
  return id;
}

/** A port that says the same as before is the same object. */
function serve(id: string, behind: Behind, before: Served | undefined): Served {
  const first = behind.service.ports.findIndex(({ protocol }) => protocol === 'TCP');
  const backings = behind.service.ports.flatMap((port, i) => {
    if (port.protocol !== 'TCP') return [];
    const key = `${id}:${port.port}`;
    const previous = before?.backings.find((backing) => backing.key === key);
    const next = keepEndpoints(previous, buildBacking(key, behind, i, port, i === first));
    return [previous !== undefined && sameContent(previous, next) ? previous : next];
  });
  return { ...behind, id, backings };
}

function keepEndpoints(previous: Backing | undefined, next: Backing): Backing {
  const same = previous !== undefined && sameContent(previous.endpoints, next.endpoints);
  return same ? { ...next, endpoints: previous.endpoints } : next;
}

function selectedBy({ namespace, selector = noSelector }: Service, workloads: Workloads): readonly Workload[] {
  return workloads.select(namespace, selector);
}

/**
 * The pods that slices name, by name or by address, in the Service's own namespace: nothing else may lend its identity. And
 * those that its selector names: slices will.
 */
function podsOf(service: Service, slices: readonly EndpointSlice[], workloads: Workloads): readonly Workload[] {
  const found = new Set<Workload>(selectedBy(service, workloads));
  for (const { namespace, endpoints } of slices) {
    for (const { pod, addresses } of endpoints) {
      const workload =
        pod === undefined ? atOneOf(namespace, addresses, workloads) : workloads.byKey.get(`${namespace}/${pod}`);
      if (workload) found.add(workload);
    }
  }
  return [...found].sort(compareKey);
}

/** The first pod, by name, that has one of the addresses. */
function atOneOf(namespace: string, addresses: readonly string[], workloads: Workloads): Workload | undefined {
  return addresses.flatMap((ip) => workloads.atAddress(namespace, ip)).sort(compareKey)[0];
}

function buildBacking(
  key: ServicePortKey,
  behind: Behind,
  index: number,
  port: ServicePort,
  isFirst: boolean,
): Backing {
  const { service, own: slices, pods, refused } = behind;
  const problems: Problem[] = isFirst && refused.length > 0 ? [reportForeign(service, refused)] : [];
  const report = (field: string, problem: Pick<Problem, 'severity' | 'reason' | 'message' | 'fix'>): void => {
    const resource = {
      apiVersion: 'v1',
      kind: 'Service',
      namespace: service.namespace,
      name: service.name,
    };
    problems.push({
      resource,
      field: `/spec/ports/${index}/${field}`,
      ...problem,
    });
  };
  const { protocol, unknown } = protocolOf(port);
  if (unknown) {
    report('appProtocol', {
      severity: 'warning',
      reason: 'ProtocolUnsupported',
      message: `appProtocol "${port.appProtocol}" is not known, so its bytes pass as they are and HTTP rules match nothing`,
      fix: 'write http, grpc, tcp or tcp-server-first',
    });
  }
  const members =
    slices.length > 0
      ? sliceMembers(port, behind)
      : pods.flatMap((workload) => selectedMember(service, port, workload) ?? []);
  const unresolved = slices.length === 0 && pods.find((workload) => targetPortOf(port, workload) === undefined);
  if (unresolved) {
    report('targetPort', {
      severity: 'error',
      reason: 'PortUnresolved',
      message: `pod "${unresolved.pod.name}" has no container port named "${port.targetPort}"`,
      fix: 'name a port of the container so, or write its number',
    });
  }
  members.sort((a, b) => compareText(a.endpoint.pod, b.endpoint.pod) || compareText(addressText(a), addressText(b)));
  return {
    key,
    service,
    index,
    port: port.port,
    protocol,
    members,
    starting: startingAt(port, pods, members),
    endpoints: { key, endpoints: members.map(({ endpoint }) => endpoint) },
    problems,
  };
}

function selectedMember(service: Service, port: ServicePort, workload: Workload): Member | undefined {
  const target = targetPortOf(port, workload);
  const { pod } = workload;
  if (target === undefined || !hasAddress(pod)) return undefined;
  const hostname = pod.subdomain === service.name ? pod.hostname : undefined;
  const ready = pod.ready || service.publishNotReadyAddresses;
  return { workload, endpoint: podEndpoint(workload, target, ready, hostname) };
}

function sliceMembers(port: ServicePort, { service, own: slices, pods, meshed, refused }: Behind): Member[] {
  const foreign = new Set(refused.map(({ ip }) => ip));
  const members = new Map<string, Member>();
  for (const slice of slices) {
    const target = slice.ports.find(({ name }) => name === port.name)?.port ?? onlyPort(service, slice);
    if (target === undefined) continue;
    for (const { addresses, pod: name, ready, hostname } of slice.endpoints) {
      const workload = pods.find(({ pod }) => (name === undefined ? addresses.includes(pod.ip) : pod.name === name));
      // A slice may be quicker than the pod whose address it tells.
      if (workload && hasAddress(workload.pod)) {
        const usable = ready || service.publishNotReadyAddresses;
        members.set(workload.key, {
          workload,
          endpoint: podEndpoint(workload, target, usable, hostname),
        });
        continue;
      }
      // A pod that was not seen yet must not be taken for a peer without sidecar, and be sent plaintext.
      if (name !== undefined && meshed) continue;
      for (const ip of addresses) {
        if (foreign.has(ip)) continue;
        const address: EndpointAddress = { kind: 'ip', ip, port: target };
        const named = hostname !== undefined && { hostname };
        const endpoint = {
          address,
          pod: '',
          identity: '' as const,
          meshed: false,
          ready,
          ip,
          ...named,
          port: target,
        };
        members.set(ip, { endpoint });
      }
    }
  }
  return [...members.values()];
}

/** Endpoints written by hand often leave out the name of an only port. */
function onlyPort(service: Service, slice: EndpointSlice): number | undefined {
  return service.ports.length === 1 && slice.ports.length === 1 ? slice.ports[0]?.port : undefined;
}

function startingAt(port: ServicePort, pods: readonly Workload[], members: readonly Member[]): Backing['starting'] {
  const there = new Set(members.map(({ workload }) => workload));
  return pods.flatMap((workload) => {
    const target = targetPortOf(port, workload);
    return target === undefined || !workload.meshed || there.has(workload) ? [] : [{ workload, port: target }];
  });
}

function addressText({ endpoint: { address } }: Member): string {
  return address.kind === 'pipe' ? address.path : `${address.ip}:${address.port}`;
}

/** The accounts of the meshed members, sorted. */
export function accountsOf({ members }: Backing): readonly ServiceIdentity[] {
  const accounts = members.flatMap(({ endpoint: { identity } }) => (identity === '' ? [] : [identity]));
  return [...new Set(accounts)].sort(compareText);
}
