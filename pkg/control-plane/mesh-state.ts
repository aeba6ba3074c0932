import type { MeshModel } from '../catalog/mesh-model.ts';
import type { MeshSnapshot, Pod, Service } from '../catalog/snapshot.ts';
import type { PodState, ProxyState, ServiceState, SplitState } from '../dashboard/mesh-view.ts';
import type { OutboundRoute } from '../policy/outbound.ts';
import type { DirectoryEntry, Reach } from '../policy/proxy-policy.ts';
import type { AdsClientStatus } from '../xds/ads-server.ts';
import { isEnvoy, namesUserAgent } from './mesh-source.ts';

/** What the page shows of each part of the mesh. */

export function toServiceStates(snapshot: MeshSnapshot, model: MeshModel): ServiceState[] {
  const directory = directoryOf(model);
  const byName = new Map(snapshot.pods.map((pod) => [`${pod.namespace}/${pod.name}`, pod]));
  const select = indexPods(snapshot.pods);
  const slices = groupBy(snapshot.endpointSlices, ({ namespace, service }) => `${namespace}/${service}`);
  return snapshot.services.map((service) => {
    const { namespace, name, ports } = service;
    const given = slices.get(`${namespace}/${name}`);
    const behind = given
      ? given.flatMap(({ endpoints }) =>
          endpoints.map(({ pod, ready }) => ({ pod: byName.get(`${namespace}/${pod}`), ready })),
        )
      : select(service).map((pod) => ({ pod, ready: pod.ready }));
    const accounts = behind.flatMap(({ pod }) => (pod ? [`${namespace}/${pod.serviceAccount}`] : []));
    return {
      namespace,
      name,
      ports: ports.map(({ port }) => ({
        port,
        protocol: directory?.get(`${namespace}/${name}:${port}`)?.protocol ?? 'tcp',
      })),
      accounts: [...new Set(accounts)].sort(),
      ready: behind.filter(({ ready }) => ready).length,
      endpoints: behind.length,
    };
  });
}

/** Finds the pods of a Service by its rarest label, so that a service does not look at every pod of its namespace. */
function indexPods(pods: readonly Pod[]): (service: Service) => readonly Pod[] {
  const byLabel = new Map<string, Pod[]>();
  for (const pod of pods) {
    for (const [key, value] of Object.entries(pod.labels)) {
      const label = `${pod.namespace} ${key}=${value}`;
      const group = byLabel.get(label);
      if (group) group.push(pod);
      else byLabel.set(label, [pod]);
    }
  }
  return ({ namespace, selector = {} }) => {
    const wanted = Object.entries(selector);
    const groups = wanted.map(([key, value]) => byLabel.get(`${namespace} ${key}=${value}`) ?? []);
    const [rarest = []] = groups.sort((a, b) => a.length - b.length);
    return rarest.filter(({ labels }) => wanted.every(([key, value]) => labels[key] === value));
  };
}

function directoryOf(model: MeshModel): ReadonlyMap<string, DirectoryEntry> | undefined {
  for (const { directory } of model.pods.values()) return directory;
  return undefined;
}

export function toPodStates(snapshot: MeshSnapshot): PodState[] {
  return snapshot.pods.map(({ namespace, name, serviceAccount, owner, ready, meshed, sidecar = 'node', address }) => ({
    pod: `${namespace}/${name}`,
    account: `${namespace}/${serviceAccount}`,
    ready,
    sidecar: meshed ? sidecar : 'none',
    ...(owner === undefined ? {} : { owner }),
    ...(address === undefined ? {} : { address }),
  }));
}

/** The splits in force, as their roots' clients see them. */
export function toSplitStates(model: MeshModel): SplitState[] {
  const splits = new Map<string, SplitState>();
  let last: readonly SplitState[] | undefined;
  for (const { reach } of model.pods.values()) {
    const found = splitsOf(reach);
    if (found === last) continue;
    last = found;
    for (const state of found) if (!splits.has(state.split)) splits.set(state.split, state);
  }
  return [...splits.values()].sort((a, b) => (a.split < b.split ? -1 : 1));
}

const splitsByReach = new WeakMap<Reach, readonly SplitState[]>();
const noSplits: readonly SplitState[] = [];

/** Found once for each reach: a change leaves nearly all of them as they are. */
function splitsOf(reach: Reach): readonly SplitState[] {
  const known = splitsByReach.get(reach);
  if (known) return known;
  const found: SplitState[] = [];
  for (const { namespace, name, routes } of reach.outbound.values()) {
    for (const route of routes) {
      if (route.origin?.kind !== 'TrafficSplit') continue;
      const split = `${route.origin.namespace}/${route.origin.name}`;
      found.push({ split, root: `${namespace}/${name}`, wanted: toWanted(route) });
    }
  }
  const states = found.length > 0 ? found : noSplits;
  splitsByReach.set(reach, states);
  return states;
}

function toWanted({ backends }: OutboundRoute): SplitState['wanted'] {
  return backends.map(({ service, weight, excluded }) => ({
    backend: service,
    weight,
    // The page knows two ways to be out: a Service that can't be a backend (ExternalName) is not found as one.
    ...(excluded === undefined ? {} : { excluded: excluded === 'BackendPortMissing' ? excluded : 'BackendNotFound' }),
  }));
}

export function toProxyStates(clients: readonly AdsClientStatus[]): ProxyState[] {
  // The program beside a laptop's Envoy follows names alone: it is no proxy.
  const proxies = clients.filter(({ client }) => client.userAgent !== namesUserAgent);
  return proxies.map(({ client, types }) => ({
    pod: client.pod ?? '',
    identity: client.identity,
    nodeId: client.nodeId,
    kind: isEnvoy(client) ? 'envoy' : 'node',
    types: types.map(({ typeUrl, synced, nack }) => ({ typeUrl, synced, ...(nack === undefined ? {} : { nack }) })),
  }));
}

function groupBy<T>(items: readonly T[], keyOf: (item: T) => string): ReadonlyMap<string, readonly T[]> {
  const groups = new Map<string, T[]>();
  for (const item of items) {
    const group = groups.get(keyOf(item));
    if (group) group.push(item);
    else groups.set(keyOf(item), [item]);
  }
  return groups;
}
