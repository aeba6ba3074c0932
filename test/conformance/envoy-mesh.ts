import { mkdtempSync, rmSync } from 'node:fs';
import { createServer } from 'node:http';
import type { Server } from 'node:http';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import type { MeshModel } from '../../pkg/catalog/mesh-model.ts';
import { createLeaf, createRoot } from '../../pkg/certs/certificate.ts';
import type { CertificateAndKey } from '../../pkg/certs/certificate.ts';
import { tcpChain, toAddressBook } from '../../pkg/envoy-config/address-book.ts';
import type { Listener } from '../../pkg/envoy-config/envoy-listener-types.ts';
import type { InterceptionMode } from '../../pkg/envoy-config/interception.ts';
import { virtualListener } from '../../pkg/envoy-config/names.ts';
import { toOutboundListener } from '../../pkg/envoy-config/outbound-listener.ts';
import { isHttp } from '../../pkg/envoy-config/protocol.ts';
import { toXdsResources } from '../../pkg/envoy-config/to-xds-resources.ts';
import type { XdsResources } from '../../pkg/envoy-config/to-xds-resources.ts';
import { decodeOtlpProtobuf } from '../../pkg/observability/otlp-decode.ts';
import type { Span } from '../../pkg/observability/span.ts';
import { toServiceIdentity } from '../../pkg/policy/identity.ts';
import type { ServiceIdentity, TrustDomain } from '../../pkg/policy/identity.ts';
import type { AppProtocol } from '../../pkg/policy/inbound.ts';
import type { ProxyPolicy } from '../../pkg/policy/proxy-policy.ts';
import { startEchoApps } from '../support/echo-apps.ts';
import type { EchoApps } from '../support/echo-apps.ts';
import { startEnvoy } from '../support/envoy.ts';
import type { RunningEnvoy } from '../support/envoy.ts';
import { startAds } from '../support/envoy-ads.ts';
import type { ProxyContent, TestAds } from '../support/envoy-ads.ts';
import { toLoopback } from './envoy-loopback.ts';
import type { Loopback } from './envoy-loopback.ts';

/** A few real Envoys that stand for the sidecars of one mesh after the other: their policies are swapped over ADS. */
export interface EnvoyMesh {
  readonly directory: string;
  /** By trace id. */
  readonly spans: Map<string, Span[]>;
  /** Gives an Envoy to each workload and each client of a model; resolves when all have taken what is theirs. */
  load(model: MeshModel, clients: readonly string[]): Promise<LoadedMesh>;
  /** All that its Envoys have logged. */
  logs(): string;
  stop(): Promise<void>;
}

export interface LoadedMesh {
  client(from: string): LoadedClient;
  /** Sockets of the workloads behind a Service port, for peers without a sidecar. */
  serverSockets(service: string, port: number): readonly string[];
  /** Gives proxies other policies, without touching anything else. */
  change(model: MeshModel): Promise<void>;
}

export interface LoadedClient {
  readonly envoy: RunningEnvoy;
  readonly policy: ProxyPolicy;
  readonly loopback: Loopback;
}

interface Slot {
  readonly name: string;
  readonly directory: string;
  readonly envoy: RunningEnvoy;
}

const lifetime = { from: Date.now(), lifetime: 3_600_000 };

/** `portOf` replaces the echo apps for some protocols; `adapt` changes what each Envoy is given. */
export async function startEnvoyMesh(
  program: string,
  portOf: (protocol: AppProtocol) => number | undefined = () => undefined,
  adapt: (resources: XdsResources) => XdsResources = (resources) => resources,
): Promise<EnvoyMesh> {
  const directory = mkdtempSync(join(tmpdir(), 'tulle-envoy-'));
  const echo = await startEchoApps();
  const apps: EchoApps = { portOf: (protocol) => portOf(protocol) ?? echo.portOf(protocol), stop: () => echo.stop() };
  const spans = new Map<string, Span[]>();
  const receiver = await receiveSpans(join(directory, 'otlp.sock'), spans);
  const xds = join(directory, 'xds.sock');
  const ads = await startAds(xds);
  const root = createRoot('test', lifetime);
  const leaves = new Map<ServiceIdentity, CertificateAndKey>();
  const slots: Slot[] = [];

  function contentOf(identity: ServiceIdentity, resources: XdsResources): ProxyContent {
    const leaf = leaves.get(identity) ?? createLeaf(root, 'test', { uris: [identity], dnsNames: [] }, lifetime);
    leaves.set(identity, leaf);
    return {
      resources: adapt(resources),
      certificate: leaf.certificate,
      privateKey: leaf.privateKey,
      roots: root.certificate,
    };
  }

  async function grow(count: number): Promise<void> {
    const missing = Array.from({ length: Math.max(0, count - slots.length) }, (_, i) => `slot-${slots.length + i}`);
    const started = missing.map(async (name): Promise<Slot> => {
      const own = join(directory, name);
      const envoy = await startEnvoy({
        program,
        directory: own,
        nodeId: name,
        nodeCluster: name,
        xds: { pipe: { path: xds } },
        otlp: { pipe: { path: join(directory, 'otlp.sock') } },
        env: { TULLE_SOURCE: 'test/test', OTEL_RESOURCE_ATTRIBUTES: `service.name=${name}` },
      });
      return { name, directory: own, envoy };
    });
    slots.push(...(await Promise.all(started)));
  }

  return {
    directory,
    spans,
    async load(model, clients) {
      // One for each pod: endpoints with one address would be one endpoint to their clients.
      const pods = [...model.pods].filter(([, { inbound }]) => inbound.ports.length > 0);
      const growing = grow(pods.length + clients.length);
      // An Envoy is ready once it has something to do: those that are new wait for what they are given here.
      const all = [...slots.map(({ name }) => name)];
      while (all.length < pods.length + clients.length) all.push(`slot-${all.length}`);
      const slotOf = (name: string): Pick<Slot, 'name' | 'directory'> => ({ name, directory: join(directory, name) });
      // Whatever becomes of it, those that were started are known, and will be stopped.
      const [placing, grown] = await Promise.allSettled([
        place(model, pods, clients, all.map(slotOf), apps, ads, contentOf),
        growing,
      ]);
      if (placing.status === 'rejected') throw placing.reason;
      if (grown.status === 'rejected') throw grown.reason;
      const placed = placing.value;
      const envoyOf = (name: string): RunningEnvoy => {
        const slot = slots.find((known) => known.name === name);
        if (!slot) throw new Error(`no ${name}`);
        return slot.envoy;
      };
      return {
        client(from) {
          const found = placed.clients.get(from);
          if (!found) throw new Error(`no client ${from}`);
          return { envoy: envoyOf(found.slot), policy: found.policy, loopback: found.loopback };
        },
        serverSockets: placed.serverSockets,
        change: placed.change,
      };
    },
    logs: () => slots.map(({ envoy }) => envoy.output()).join('\n'),
    async stop() {
      await Promise.all(slots.map(({ envoy }) => envoy.stop()));
      await ads.close();
      receiver.close();
      apps.stop();
      rmSync(directory, { recursive: true, force: true });
    },
  };
}

interface Placed {
  readonly clients: ReadonlyMap<string, { slot: string; policy: ProxyPolicy; loopback: Loopback }>;
  readonly serverSockets: LoadedMesh['serverSockets'];
  readonly change: LoadedMesh['change'];
}

async function place(
  model: MeshModel,
  pods: readonly (readonly [pod: string, policy: ProxyPolicy])[],
  clients: readonly string[],
  slots: readonly Pick<Slot, 'name' | 'directory'>[],
  apps: EchoApps,
  ads: TestAds,
  contentOf: (identity: ServiceIdentity, resources: XdsResources) => ProxyContent,
): Promise<Placed> {
  const socketOf = new Map(pods.map(([pod], i) => [pod, join((slots[i] as Slot).directory, 'in-{port}.sock')]));
  const loopbacks = clients.map(() => toLoopback({ sockets: socketOf, portOf: (protocol) => apps.portOf(protocol) }));
  const nobody = toLoopback({ sockets: socketOf, portOf: (protocol) => apps.portOf(protocol) });

  const previous = new Map<string, XdsResources>();

  async function publish(current: MeshModel, settled: boolean): Promise<Map<string, ProxyPolicy>> {
    const content = new Map<string, ProxyContent>();
    for (const slot of slots) content.set(slot.name, contentOf(nobodyAtAll, nothing));
    for (const [i, [pod, policy]] of pods.entries()) {
      const slot = slots[i] as Slot;
      const now = current.pods.get(pod) ?? policy;
      const resources = toServer(now, slot, nobody, apps, previous.get(slot.name));
      previous.set(slot.name, resources);
      content.set(slot.name, contentOf(now.identity, resources));
    }
    const clientPolicies = new Map<string, ProxyPolicy>();
    for (const [i, from] of clients.entries()) {
      const policy = current.policyOf(identityOf(current, from));
      const slot = slots[pods.length + i] as Slot;
      const loopback = loopbacks[i] as Loopback;
      clientPolicies.set(from, policy);
      content.set(slot.name, contentOf(policy.identity, toClient(policy, slot, loopback)));
    }
    // Connections of the mesh before carry certificates of that mesh: everything is taken down first.
    if (!settled) await ads.publish(new Map([...content].map(([slot]) => [slot, contentOf(nobodyAtAll, nothing)])));
    await ads.publish(content);
    return clientPolicies;
  }

  const clientPolicies = await publish(model, false);
  return {
    clients: new Map(
      clients.map((from, i) => [
        from,
        {
          slot: (slots[pods.length + i] as Slot).name,
          policy: clientPolicies.get(from) as ProxyPolicy,
          loopback: loopbacks[i] as Loopback,
        },
      ]),
    ),
    serverSockets: (service, port) =>
      [...model.pods].flatMap(([pod, { inbound }]) => {
        const ports = inbound.ports.filter(({ services }) => services.includes(service));
        const best = ports.find((candidate) => candidate.port === port) ?? ports[0];
        const template = socketOf.get(pod);
        return best && template !== undefined ? [template.replace('{port}', String(best.port))] : [];
      }),
    change: async (next) => void (await publish(next, true)),
  };
}

const nobodyAtAll = 'spiffe://test/ns/x/sa/x' as ServiceIdentity;

/** A proxy always has this listener: Envoy, once rid of it, does not ask for the routes of a later one again. */
const resident: Listener = {
  ...toOutboundListener(
    { trustDomain: 'test', egress: 'deny', tracing: { sampling: 1 } },
    { kind: 'redirect', port: 1 },
  ),
  use_original_dst: false,
  bind_to_port: false,
};

const nothing: XdsResources = {
  listeners: new Map([[resident.name, resident]]),
  routes: new Map(),
  scopes: new Map(),
  refusals: new Map(),
  extensions: new Map(toAddressBook([]).map((piece) => [piece.name, piece])),
  clusters: new Map(),
  endpoints: new Map(),
  peers: new Map(),
  tcpChains: new Map(),
};

function toServer(
  policy: ProxyPolicy,
  slot: Pick<Slot, 'directory'>,
  loopback: Loopback,
  apps: EchoApps,
  previous: XdsResources | undefined,
): XdsResources {
  const appPorts = new Map(policy.inbound.ports.map(({ port, protocol }) => [port, apps.portOf(protocol)]));
  const template = join(slot.directory, 'in-{port}.sock');
  const mode: InterceptionMode = {
    inbound: { kind: 'sockets', template, appPorts },
    outbound: { kind: 'redirect', port: 1 },
  };
  const resources = toXdsResources(loopback.toPolicy({ ...policy, reach: emptyReach }), mode, previous);
  return { ...resources, listeners: onlyInbound(resources.listeners) };
}

const emptyReach = { outbound: new Map(), endpoints: new Map() } as const;

function onlyInbound(listeners: XdsResources['listeners']): XdsResources['listeners'] {
  const inbound = [...listeners].filter(([, listener]) => listener.traffic_direction === 'INBOUND');
  return new Map([[resident.name, resident], ...inbound]);
}

function toClient(policy: ProxyPolicy, slot: Pick<Slot, 'directory'>, loopback: Loopback): XdsResources {
  const own = loopback.toPolicy(policy);
  const resources = toXdsResources(own, {
    inbound: { kind: 'sockets', template: join(slot.directory, 'in-{port}.sock') },
    outbound: { kind: 'redirect', port: 1 },
  });
  const dialled = [...own.directory.values()].flatMap(({ key, protocol, addresses, pods = [], port }) =>
    [...addresses, ...pods.map(({ ip }) => ip)].map((address) => ({
      socket: { address, port_value: port },
      // Where it becomes reachable, its own listener takes the place of the one that refuses: they have one name.
      ...(isHttp(protocol) ? {} : { refusal: virtualListener(key, address) }),
    })),
  );
  return { ...resources, listeners: bind(resources.listeners, dialled) };
}

interface Dialled {
  readonly socket: { readonly address: string; readonly port_value: number };
  readonly refusal?: string;
}

/**
 * Nothing redirects here: each virtual listener listens for itself, and the listener that takes all else does so at every
 * address of the mesh that is left.
 */
function bind(listeners: XdsResources['listeners'], dialled: readonly Dialled[]): XdsResources['listeners'] {
  const bound = new Map<string, Listener>();
  const left = new Map(dialled.map((each) => [`${each.socket.address}:${each.socket.port_value}`, each]));
  for (const [name, listener] of listeners) {
    if (listener.internal_listener) bound.set(name, listener);
    if (listener.bind_to_port !== false) continue;
    const socket = listener.address?.socket_address;
    left.delete(`${socket?.address}:${socket?.port_value}`);
    bound.set(name, { ...listener, bind_to_port: true });
  }
  const [first, ...others] = [...left.values()].flatMap(({ socket, refusal }) => (refusal === undefined ? socket : []));
  for (const [name, { use_original_dst: redirected, ...listener }] of listeners) {
    if (redirected !== true) continue;
    const { '@type': type, traffic_direction, filter_chains = [] } = listener;
    for (const { socket, refusal } of left.values()) {
      if (refusal === undefined) continue;
      const chains = filter_chains.filter((chain) => chain.name === tcpChain);
      const refusing = { '@type': type, name: refusal, traffic_direction, filter_chains: chains };
      bound.set(refusal, { ...refusing, address: { socket_address: socket } });
    }
    if (first === undefined) continue;
    const additional_addresses = others.map((socket_address) => ({ address: { socket_address } }));
    bound.set(name, { ...listener, address: { socket_address: first }, additional_addresses } as Listener);
  }
  if (first === undefined) bound.set(resident.name, resident);
  return bound;
}

function identityOf(model: MeshModel, from: string): ServiceIdentity {
  const trustDomain = ([...model.pods.values()][0]?.settings.trustDomain ?? 'cluster.local') as TrustDomain;
  const [namespace = '', name = ''] = from.split('/');
  return toServiceIdentity(trustDomain, { namespace, name });
}

function receiveSpans(path: string, spans: Map<string, Span[]>): Promise<Server> {
  const server = createServer((request, response) => {
    const parts: Buffer[] = [];
    request.on('data', (part: Buffer) => parts.push(part));
    request.on('end', () => {
      for (const span of decodeOtlpProtobuf(Buffer.concat(parts)).spans) {
        const known = spans.get(span.traceId);
        if (known) known.push(span);
        else spans.set(span.traceId, [span]);
      }
      response.end();
    });
  });
  return new Promise((resolve) => server.listen(path, () => resolve(server)));
}
