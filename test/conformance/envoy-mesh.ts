import { mkdtempSync, rmSync } from 'node:fs';
import { createServer } from 'node:http';
import type { Server } from 'node:http';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import type { MeshModel } from '../../pkg/catalog/mesh-model.ts';
import { createLeaf, createRoot } from '../../pkg/certs/certificate.ts';
import type { CertificateAndKey } from '../../pkg/certs/certificate.ts';
import type { FilterChain, Listener } from '../../pkg/envoy-config/envoy-listener-types.ts';
import type { InterceptionMode } from '../../pkg/envoy-config/interception.ts';
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
    return { resources: adapt(resources), certificate: leaf.certificate, privateKey: leaf.privateKey, roots: root.certificate };
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
      const servers = new Set([...model.pods.values()].filter(({ inbound }) => inbound.ports.length > 0));
      const policies = [...servers];
      const growing = grow(policies.length + clients.length);
      // An Envoy is ready once it has something to do: those that are new wait for what they are given here.
      const all = [...slots.map(({ name }) => name)];
      while (all.length < policies.length + clients.length) all.push(`slot-${all.length}`);
      const slotOf = (name: string): Pick<Slot, 'name' | 'directory'> => ({ name, directory: join(directory, name) });
      const placed = await place(model, policies, clients, all.map(slotOf), apps, ads, contentOf);
      await growing;
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
  policies: readonly ProxyPolicy[],
  clients: readonly string[],
  slots: readonly Pick<Slot, 'name' | 'directory'>[],
  apps: EchoApps,
  ads: TestAds,
  contentOf: (identity: ServiceIdentity, resources: XdsResources) => ProxyContent,
): Promise<Placed> {
  const socketOf = new Map<string, string>();
  const slotOfPolicy = new Map(policies.map((policy, i) => [policy, slots[i] as Slot]));
  for (const [pod, policy] of model.pods) {
    const slot = slotOfPolicy.get(policy);
    if (slot) socketOf.set(pod, join(slot.directory, 'in-{port}.sock'));
  }
  const loopbacks = clients.map(() => toLoopback({ sockets: socketOf, portOf: (protocol) => apps.portOf(protocol) }));
  const nobody = toLoopback({ sockets: socketOf, portOf: (protocol) => apps.portOf(protocol) });

  const previous = new Map<string, XdsResources>();

  async function publish(current: MeshModel, settled: boolean): Promise<Map<string, ProxyPolicy>> {
    const content = new Map<string, ProxyContent>();
    for (const slot of slots) content.set(slot.name, contentOf(nobodyAtAll, nothing));
    const podOf = new Map([...model.pods].map(([pod, policy]) => [policy, pod]));
    for (const [i, policy] of policies.entries()) {
      const slot = slots[i] as Slot;
      const now = current.pods.get(podOf.get(policy) ?? '') ?? policy;
      const resources = toServer(now, slot, nobody, apps, previous.get(slot.name));
      previous.set(slot.name, resources);
      content.set(slot.name, contentOf(now.identity, resources));
    }
    const clientPolicies = new Map<string, ProxyPolicy>();
    for (const [i, from] of clients.entries()) {
      const policy = current.policyOf(identityOf(current, from));
      const slot = slots[policies.length + i] as Slot;
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
          slot: (slots[policies.length + i] as Slot).name,
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

const nothing: XdsResources = {
  listeners: new Map(),
  routes: new Map(),
  clusters: new Map(),
  endpoints: new Map(),
  peers: new Map(),
  floors: new Map(),
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
  return new Map([...listeners].filter(([, listener]) => listener.traffic_direction === 'INBOUND'));
}

function toClient(policy: ProxyPolicy, slot: Pick<Slot, 'directory'>, loopback: Loopback): XdsResources {
  const resources = toXdsResources(loopback.toPolicy(policy), {
    inbound: { kind: 'sockets', template: join(slot.directory, 'in-{port}.sock') },
    outbound: { kind: 'redirect', port: 1 },
  });
  return { ...resources, listeners: bind(resources.listeners) };
}

/** Nothing redirects here: each virtual listener, and each address of the deny chains, listens for itself. */
function bind(listeners: XdsResources['listeners']): XdsResources['listeners'] {
  const bound = new Map<string, Listener>();
  const taken = new Set<string>();
  for (const [name, listener] of listeners) {
    if (listener.bind_to_port !== false) continue;
    const socket = listener.address?.socket_address;
    taken.add(`${socket?.address}:${socket?.port_value}`);
    bound.set(name, { ...listener, bind_to_port: true });
  }
  for (const listener of listeners.values()) {
    if (listener.use_original_dst !== true) continue;
    for (const { name: chain, filters, filter_chain_match } of listener.filter_chains ?? []) {
      for (const { address, port } of addressesOf(filter_chain_match)) {
        if (taken.has(`${address}:${port}`)) continue;
        const name = `${chain}/${address}`;
        bound.set(name, {
          '@type': listener['@type'],
          name,
          address: { socket_address: { address, port_value: port } },
          traffic_direction: listener.traffic_direction,
          filter_chains: [{ name: chain, filters }],
        });
      }
    }
  }
  return bound;
}

function addressesOf(match: FilterChain['filter_chain_match']): { address: string; port: number }[] {
  const port = match?.destination_port;
  if (port === undefined) return [];
  return (match?.prefix_ranges ?? []).map(({ address_prefix }) => ({ address: address_prefix, port }));
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
