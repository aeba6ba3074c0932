import { mkdtemp, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import type { Readable } from 'node:stream';
import { createLeaf, createRoot } from '../../pkg/certs/certificate.ts';
import type { CertificateAndKey } from '../../pkg/certs/certificate.ts';
import { toLeafNames } from '../../pkg/certs/workload-names.ts';
import type { HopSpan } from '../../pkg/observability/tracing.ts';
import { silentLogger } from '../../pkg/observability/logger.ts';
import type { Endpoint } from '../../pkg/policy/endpoints.ts';
import { toServiceIdentity } from '../../pkg/policy/identity.ts';
import type { ServiceIdentity, TrustDomain } from '../../pkg/policy/identity.ts';
import type { AccessRule, AppProtocol, InboundPolicy } from '../../pkg/policy/inbound.ts';
import type { OutboundRoute, OutboundService } from '../../pkg/policy/outbound.ts';
import type { DirectoryEntry, MeshSettings } from '../../pkg/policy/proxy-policy.ts';
import type { SidecarConfig } from '../../pkg/sidecar/config.ts';
import { defaultLimits } from '../../pkg/sidecar/exchange.ts';
import type { Limits } from '../../pkg/sidecar/exchange.ts';
import type { PolicyPart } from '../../pkg/sidecar/policy-store.ts';
import { runSidecar } from '../../pkg/sidecar/run-sidecar.ts';
import type { PolicySink, RunningSidecar } from '../../pkg/sidecar/run-sidecar.ts';

const rootName = 'tulle test root';
const day = 86_400_000;

/** An identity of the test mesh. */
export function identityOf(namespace: string, name: string): ServiceIdentity {
  return toServiceIdentity('cluster.local' as TrustDomain, { namespace, name });
}

export interface TestSidecarOptions {
  readonly namespace: string;
  readonly account: string;
  readonly pod?: string;
  readonly inbound?: Partial<InboundPolicy>;
  readonly appPorts?: Readonly<Record<string, number>>;
  readonly outbound?: SidecarConfig['outbound'];
  readonly limits?: Partial<Limits>;
  readonly otlp?: readonly string[];
  readonly random?: () => number;
  readonly drainMillis?: number;
  readonly settings?: Partial<MeshSettings>;
  /** Leave the sidecar without a policy and without certificates. */
  readonly bare?: boolean;
  readonly onSpan?: (span: HopSpan) => void;
}

export interface TestSidecar extends RunningSidecar {
  readonly identity: ServiceIdentity;
  readonly pod: string;
  readonly admin: string;
  socketPath(port: number): string;
  push(part: PolicyPart, resources: Readonly<Record<string, unknown>>, removed?: readonly string[]): void;
  setRules(rules: readonly AccessRule[], more?: Partial<InboundPolicy>): void;
  /** A new key and certificate, from the root given or the mesh's own. */
  renew(root?: CertificateAndKey, bundle?: string): void;
  ready(): Promise<void>;
  /** 127.0.0.1 port that stands for an address or key. */
  portOf(address: string): number;
  stop(): Promise<void>;
}

export interface TestMesh {
  readonly dir: string;
  readonly root: CertificateAndKey;
  start(options: TestSidecarOptions): Promise<TestSidecar>;
  /** Makes a service known to `clients`, served by `servers`. */
  expose(service: TestService, servers: readonly TestSidecar[], clients: readonly TestSidecar[]): void;
  endpointOf(sidecar: TestSidecar, port: number, more?: Partial<Endpoint>): Endpoint;
  stop(): Promise<void>;
}

export interface TestService {
  readonly namespace: string;
  readonly name: string;
  readonly port: number;
  readonly targetPort?: number;
  readonly protocol?: AppProtocol;
  readonly address?: string;
  readonly routes?: readonly OutboundRoute[];
  readonly more?: Partial<OutboundService>;
}

/** Sidecars in this process, with real sockets and certificates, and a control plane that is the test. */
export async function createTestMesh(): Promise<TestMesh> {
  const dir = await mkdtemp(join(tmpdir(), 'tulle-t-'));
  const root = createRoot(rootName, { from: Date.now(), lifetime: day });
  const running: TestSidecar[] = [];
  let count = 0;

  return {
    dir,
    root,
    async start(options) {
      const sidecar = await startSidecar(join(dir, String(count++)), root, options);
      running.push(sidecar);
      return sidecar;
    },
    expose(service, servers, clients) {
      const { entry, outbound, endpoints } = toResources(service, servers);
      for (const client of clients) {
        client.push('endpoints', { [endpoints.key]: endpoints });
        client.push('outbound', { [outbound.key]: outbound });
        client.push('directory', { [entry.key]: entry });
      }
    },
    endpointOf: toEndpoint,
    async stop() {
      await Promise.all(running.map((sidecar) => sidecar.stop()));
      await rm(dir, { recursive: true, force: true });
    },
  };
}

function toResources(
  { namespace, name, port, targetPort = port, protocol = 'http', address, routes, more }: TestService,
  servers: readonly TestSidecar[],
) {
  const key = `${namespace}/${name}:${port}`;
  const addresses = address === undefined ? [`10.96.0.${(port % 250) + 1}`] : address === '' ? [] : [address];
  const entry: DirectoryEntry = {
    key,
    namespace,
    name,
    port,
    protocol,
    addresses,
    hostnames: [`${name}.${namespace}`, `${name}.${namespace}.svc.cluster.local`],
  };
  const outbound: OutboundService = {
    ...entry,
    headless: address === '',
    routes: routes ?? [{ backends: [{ weight: 1, service: name, port, endpoints: key }] }],
    ...more,
  };
  return {
    entry,
    outbound,
    endpoints: {
      key,
      endpoints: servers.map((server) => toEndpoint(server, targetPort)),
    },
  };
}

function toEndpoint(sidecar: TestSidecar, port: number, more: Partial<Endpoint> = {}): Endpoint {
  const address = { kind: 'pipe' as const, path: sidecar.socketPath(port) };
  return {
    address,
    pod: sidecar.pod,
    identity: sidecar.identity,
    meshed: true,
    ready: true,
    port,
    ...more,
  };
}

async function startSidecar(base: string, root: CertificateAndKey, options: TestSidecarOptions): Promise<TestSidecar> {
  const { namespace, account, appPorts = {}, outbound = { kind: 'redirect', redirect: 'none' } } = options;
  const identity = identityOf(namespace, account);
  const pod = options.pod ?? `${namespace}/${account}-0`;
  const stopping = new AbortController();
  const admin = `${base}-admin.sock`;
  const config: SidecarConfig = {
    pod,
    owner: `${namespace}/Deployment/${account}`,
    xds: { address: '' },
    inbound: {
      socketTemplate: `${base}-in-{port}.sock`,
      appHost: '127.0.0.1',
      appPorts,
    },
    outbound,
    admin,
    otlp: options.otlp ?? [],
    drainMillis: options.drainMillis ?? 200,
  };
  let sink: PolicySink | undefined;
  const sidecar = await runSidecar(
    config,
    {
      logger: silentLogger,
      version: 'test',
      limits: { ...defaultLimits, ...options.limits },
      ...(options.random ? { random: options.random } : {}),
      ...(options.onSpan ? { onSpan: options.onSpan } : {}),
      source: (into) => {
        sink = into;
        return { done: Promise.resolve(), state: () => ({}) };
      },
    },
    stopping.signal,
  );
  const { store, secrets } = sink as unknown as PolicySink;

  function push(part: PolicyPart, resources: Readonly<Record<string, unknown>>, removed: readonly string[] = []): void {
    const upserts = Object.entries(resources).map(([name, value]) => ({
      name,
      value: Buffer.from(JSON.stringify(value)),
    }));
    store.apply(part, { upserts, removed });
  }

  function setRules(rules: readonly AccessRule[], more: Partial<InboundPolicy> = {}): void {
    push('inbound', {
      inbound: {
        identity,
        mode: 'enforce',
        modeFrom: 'test',
        ports: [],
        ...options.inbound,
        rules,
        ...more,
      },
    });
  }

  function renew(issuer = root, bundle = issuer.certificate): void {
    const leaf = createLeaf(issuer, rootName, toLeafNames(identity), {
      from: Date.now(),
      lifetime: day,
    });
    secrets.setRoots(bundle);
    secrets.setIdentity({
      privateKey: leaf.privateKey,
      certificateChain: leaf.certificate,
    });
  }

  if (!options.bare) {
    renew();
    const settings: MeshSettings = {
      trustDomain: 'cluster.local',
      egress: 'deny',
      tracing: { sampling: 1 },
      ...options.settings,
    };
    push('settings', { mesh: settings });
    for (const part of ['endpoints', 'outbound', 'directory'] as const) push(part, {});
    setRules(options.inbound?.rules ?? []);
  }

  return {
    ...sidecar,
    identity,
    pod,
    admin,
    socketPath: (port) => `${base}-in-${port}.sock`,
    push,
    setRules,
    renew,
    async ready() {
      while (sidecar.notReady() !== undefined) await new Promise((resolve) => setImmediate(resolve));
    },
    portOf(address) {
      const found = sidecar.data.listeners
        .list()
        .find((listener) => listener.address === address || listener.key === address);
      if (!found) throw new Error(`no listener for ${address}`);
      return found.port;
    },
    async stop() {
      stopping.abort();
      await sidecar.done;
    },
  };
}

/** A rule of a TrafficTarget, for tests. */
export function allow(sources: readonly ServiceIdentity[], more: Partial<AccessRule> = {}): AccessRule {
  return {
    origin: { kind: 'TrafficTarget', namespace: 'shop', name: 'rule' },
    sources,
    ...more,
  };
}

/** All that a stream says until its end; unlike `for await`, it doesn't destroy the stream then. */
export function readAll(stream: Readable): Promise<string> {
  return new Promise((resolve, reject) => {
    const chunks: Buffer[] = [];
    stream.on('data', (chunk: Buffer) => chunks.push(chunk));
    stream.once('end', () => resolve(Buffer.concat(chunks).toString('utf8')));
    stream.once('error', reject);
    stream.once('close', () => reject(new Error('closed before its end')));
  });
}
