import { join } from 'node:path';
import type { MeshModel } from '../../pkg/catalog/mesh-model.ts';
import type { HopSpan } from '../../pkg/observability/tracing.ts';
import type { Endpoint } from '../../pkg/policy/endpoints.ts';
import { toServiceIdentity } from '../../pkg/policy/identity.ts';
import type { ServiceIdentity, TrustDomain } from '../../pkg/policy/identity.ts';
import type { AppProtocol } from '../../pkg/policy/inbound.ts';
import type { ProxyPolicy } from '../../pkg/policy/proxy-policy.ts';
import { toSourceName } from '../../pkg/sidecar/peer-identity.ts';
import { startEchoApps } from '../support/echo-apps.ts';
import type { EchoApps } from '../support/echo-apps.ts';
import { createTestMesh } from '../support/sidecar-mesh.ts';
import type { TestSidecar } from '../support/sidecar-mesh.ts';

/** Real Node sidecars with the policies of a model, one for each pod, and one for each client that is asked for. */
export interface NodeMesh {
  /** Spans of all sidecars, in the order of their ends. */
  readonly spans: HopSpan[];
  client(from: string): Promise<NodeClient>;
  /** Sockets of the pods behind a Service port, for peers without a sidecar. */
  serverSockets(service: string, port: number): string[];
  stop(): Promise<void>;
}

export interface NodeClient {
  readonly sidecar: TestSidecar;
  readonly hostsFile: string;
  /** The k-th of n calls draws (k + ½)/n: shares come out as they are, and not by chance. */
  draw(k: number, n: number): void;
}

/** `portOf` replaces the echo apps for some protocols. */
export async function startNodeMesh(
  model: MeshModel,
  portOf: (protocol: AppProtocol) => number | undefined = () => undefined,
): Promise<NodeMesh> {
  const echo = await startEchoApps();
  const apps: EchoApps = { portOf: (protocol) => portOf(protocol) ?? echo.portOf(protocol), stop: () => echo.stop() };
  const mesh = await createTestMesh();
  const spans: HopSpan[] = [];
  const onSpan = (span: HopSpan): void => void spans.push(span);
  const servers = new Map<string, TestSidecar>();
  const clients = new Map<string, Promise<NodeClient>>();

  const start = async (pod: string, policy: ProxyPolicy, more: object): Promise<TestSidecar> => {
    const [namespace = '', account = ''] = toSourceName(policy.identity).split('/');
    const appPorts = Object.fromEntries(
      policy.inbound.ports.map(({ port, protocol }) => [port, apps.portOf(protocol)]),
    );
    const sidecar = await mesh.start({ namespace, account, pod, bare: true, appPorts, onSpan, ...more });
    sidecar.renew();
    return sidecar;
  };
  for (const [pod, policy] of model.pods) servers.set(pod, await start(pod, policy, {}));
  for (const [pod, policy] of model.pods) push(servers.get(pod) as TestSidecar, policy, servers, apps);
  await Promise.all([...servers.values()].map((sidecar) => sidecar.ready()));

  async function startClient(from: string): Promise<NodeClient> {
    const policy = model.policyOf(identityOf(model, from));
    const hostsFile = join(mesh.dir, `hosts-${from.replace('/', '-')}`);
    const [namespace = ''] = from.split('/');
    let next = 0;
    const sidecar = await start(`${namespace}/client`, policy, {
      outbound: { kind: 'redirect', redirect: 'none', hostsFile },
      random: () => next,
    });
    push(sidecar, policy, servers, apps);
    await sidecar.ready();
    return { sidecar, hostsFile, draw: (k, n) => (next = (k + 0.5) / n) };
  }

  return {
    spans,
    client(from) {
      let client = clients.get(from);
      if (!client) clients.set(from, (client = startClient(from)));
      return client;
    },
    serverSockets: (service, port) =>
      [...model.pods].flatMap(([pod, { inbound }]) => {
        const ports = inbound.ports.filter(({ services }) => services.includes(service));
        const best = ports.find((candidate) => candidate.port === port) ?? ports[0];
        return best ? [(servers.get(pod) as TestSidecar).socketPath(best.port)] : [];
      }),
    async stop() {
      apps.stop();
      await mesh.stop();
    },
  };
}

/** What the control plane would send, with the addresses of this process. */
function push(
  sidecar: TestSidecar,
  { settings, inbound, reach, directory }: ProxyPolicy,
  servers: ReadonlyMap<string, TestSidecar>,
  apps: EchoApps,
): void {
  const protocols = new Map<string, AppProtocol>();
  for (const { routes, protocol } of reach.outbound.values()) {
    for (const { endpoints } of routes.flatMap(({ backends }) => backends)) protocols.set(endpoints, protocol);
  }
  const place = (endpoint: Endpoint, protocol: AppProtocol): Endpoint => {
    const server = servers.get(endpoint.pod);
    if (endpoint.meshed && server) {
      return { ...endpoint, address: { kind: 'pipe', path: server.socketPath(endpoint.port) } };
    }
    return { ...endpoint, address: { kind: 'ip', ip: '127.0.0.1', port: apps.portOf(protocol) } };
  };
  sidecar.push('settings', { mesh: settings });
  sidecar.push(
    'endpoints',
    Object.fromEntries(
      [...reach.endpoints].map(([key, set]) => {
        const endpoints = set.endpoints.map((endpoint) => place(endpoint, protocols.get(key) ?? 'http'));
        return [key, { ...set, endpoints }];
      }),
    ),
  );
  sidecar.push('outbound', Object.fromEntries(reach.outbound));
  sidecar.push('directory', Object.fromEntries(directory));
  sidecar.push('inbound', { inbound });
}

function identityOf(model: MeshModel, from: string): ServiceIdentity {
  const trustDomain = ([...model.pods.values()][0]?.settings.trustDomain ?? 'cluster.local') as TrustDomain;
  const [namespace = '', name = ''] = from.split('/');
  return toServiceIdentity(trustDomain, { namespace, name });
}
