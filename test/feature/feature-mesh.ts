import { mkdtemp, rm, writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { createMeshBuilder } from '../../pkg/catalog/build-mesh.ts';
import type { MeshModel } from '../../pkg/catalog/mesh-model.ts';
import type { MeshConfig, MeshSnapshot } from '../../pkg/catalog/snapshot.ts';
import { type CertificateAuthority, openAuthority } from '../../pkg/certs/authority.ts';
import { createMemoryStore } from '../../pkg/certs/file-store.ts';
import { openLeafCertificates } from '../../pkg/certs/leaf-certificates.ts';
import type { CertStore } from '../../pkg/certs/store.ts';
import { createTokenKey, issueToken, type TokenClaims, type TokenKeyPair } from '../../pkg/certs/tokens.ts';
import { toLeafNames } from '../../pkg/certs/workload-names.ts';
import { createTokenAuthentication } from '../../pkg/control-plane/authenticate.ts';
import { type ControlPlane, createControlPlane } from '../../pkg/control-plane/control-plane.ts';
import { createLogger } from '../../pkg/observability/logger.ts';
import { Metrics } from '../../pkg/observability/metrics.ts';
import type { Outcome } from '../../pkg/problem/problem.ts';
import { createAssembler } from '../../pkg/provider/files/assemble.ts';
import { parseDocuments } from '../../pkg/provider/files/yaml-documents.ts';
import { type AdsClientState, type AdsUpdate, createAdsClient } from '../../pkg/xds/ads-client.ts';
import type { AdsServerLimits } from '../../pkg/xds/server-limits.ts';
import { secretType, tulleTypes } from '../../pkg/xds/resources.ts';
import { secretNames } from '../../pkg/xds/secret.ts';
import { createFakeClock, type FakeClock } from '../support/fake-clock.ts';

const config: MeshConfig = {
  mode: 'enforce',
  modeFrom: 'default',
  pathMatch: 'full',
  trustDomain: 'cluster.local',
  egress: 'deny',
  tracing: { sampling: 1 },
};

/** A control plane in this process, served over a unix socket with TLS and tokens, as on a laptop. */
export interface FeatureMesh {
  readonly controlPlane: ControlPlane;
  readonly authority: CertificateAuthority;
  readonly clock: FakeClock;
  readonly metrics: Metrics;
  readonly key: TokenKeyPair;
  readonly address: string;
  /** Log records so far. */
  readonly logs: Record<string, unknown>[];
  /** Publishes a mesh; resolves when every connected client has answered for all of it. */
  apply(yaml: string): Promise<void>;
  /** Publishes a mesh and waits for nobody. */
  publish(yaml: string): void;
  /** Resolves when every connected client, or that of one pod, has answered for all that there is. */
  synced(pod?: string): Promise<void>;
  token(claims: TokenClaims): Promise<string>;
  connect(options: ConnectOptions): Promise<FeatureClient>;
  close(): Promise<void>;
}

export interface ConnectOptions {
  /** `shop/web` */
  readonly account: string;
  readonly pod?: string;
  readonly token?: () => Promise<string>;
  readonly ca?: () => Buffer;
  /** Does not wait until the client has got everything. */
  readonly early?: true;
  /** Before an update is taken; throwing refuses it. */
  readonly inspect?: (typeUrl: string, update: AdsUpdate) => void;
}

export interface FeatureClient {
  /** `name` or `-name` of what came, by type, since `forget`. */
  readonly received: ReadonlyMap<string, readonly string[]>;
  readonly held: ReadonlyMap<string, ReadonlyMap<string, Buffer>>;
  readonly states: readonly AdsClientState[];
  json<T>(typeUrl: string, name: string): T;
  forget(): void;
  until(condition: () => boolean): Promise<void>;
  close(): Promise<void>;
}

export interface FeatureMeshOptions {
  readonly store?: CertStore;
  readonly key?: TokenKeyPair;
  readonly address?: string;
  readonly leafSeconds?: number;
  readonly limits?: Partial<AdsServerLimits>;
  readonly build?: (snapshot: MeshSnapshot) => Outcome<MeshModel>;
}

export async function startMesh(options: FeatureMeshOptions = {}): Promise<FeatureMesh> {
  const folder = await mkdtemp('/tmp/tulle-feature-');
  const clock = createFakeClock(Date.now());
  const { store = createMemoryStore(), key = await createTokenKey(), leafSeconds = 86_400 } = options;
  const { address = `unix:${join(folder, 'xds.sock')}` } = options;
  const authority = await openAuthority({
    store,
    clock,
    name: 'cluster.local',
  });
  const leaves = await openLeafCertificates({
    authority,
    clock,
    random: () => 0.5,
    lifetime: leafSeconds * 1000,
    namesOf: toLeafNames,
    store,
    onError: (error) => {
      throw error;
    },
  });
  const logs: Record<string, unknown>[] = [];
  const log = createLogger({
    level: 'debug',
    component: 'test',
    write: (line) => logs.push(JSON.parse(line) as Record<string, unknown>),
  });
  const metrics = new Metrics();
  const builder = createMeshBuilder();
  const assembler = createAssembler({ config, defaultNamespace: 'default' });
  const controlPlane = createControlPlane({
    id: 'test',
    mesh: config,
    isolation: 'isolated',
    inputs: ['mesh.yaml'],
    authority,
    leaves,
    build: options.build ?? ((snapshot) => builder.build(snapshot)),
    loadEncoder: () => {
      throw new Error('there is no Envoy here');
    },
    log,
    metrics,
    now: () => clock.now(),
    ...(options.limits ? { limits: options.limits } : {}),
  });
  const keysFile = join(folder, 'token.pub.json');
  await writeFile(keysFile, JSON.stringify(key.publicKeys));
  const authenticate = createTokenAuthentication({
    keysFile,
    trustDomain: config.trustDomain,
    model: () => controlPlane.source.model(),
    now: () => clock.now(),
  });
  const port = await controlPlane.listen(address, authenticate, 'tls');
  const clients = new Set<FeatureClient>();

  const mesh: FeatureMesh = {
    controlPlane,
    authority,
    clock,
    metrics,
    key,
    address: address.replace(/:0$/, `:${port}`),
    logs,
    async apply(yaml) {
      mesh.publish(yaml);
      await mesh.synced();
    },
    publish(yaml) {
      const documents = parseDocuments(yaml);
      const { snapshot, problems, locate } = assembler.assemble([{ name: 'mesh.yaml', text: yaml, documents }]);
      controlPlane.apply({ snapshot, problems, locate });
    },
    synced: (pod) =>
      until(() => {
        const all = controlPlane.servers().flatMap((server) => server.status());
        const wanted = all.filter(({ client }) => pod === undefined || client.pod === pod);
        return wanted.every(({ types }) => types.every((type) => type.synced));
      }),
    token: (claims) => issueToken(key.privateKey, claims, { now: clock.now(), lifetime: 3600 }),
    async connect(connection) {
      const client = connectClient(mesh, connection);
      clients.add(client);
      const count = (): number => controlPlane.servers().flatMap((server) => server.clients()).length;
      const before = count();
      await until(() => count() > before || client.states.some(({ kind }) => kind === 'disconnected'));
      if (!connection.early) await mesh.synced();
      return client;
    },
    async close() {
      await Promise.all([...clients].map((client) => client.close()));
      await controlPlane.close();
      await rm(folder, { recursive: true });
    },
  };
  return mesh;
}

function connectClient(mesh: FeatureMesh, options: ConnectOptions): FeatureClient {
  const end = new AbortController();
  const [namespace = '', serviceAccount = ''] = options.account.split('/');
  const claims = {
    namespace,
    serviceAccount,
    ...(options.pod === undefined ? {} : { pod: options.pod }),
  };
  const received = new Map<string, string[]>();
  const held = new Map<string, Map<string, Buffer>>();
  const states: AdsClientState[] = [];
  const { done } = createAdsClient({
    address: mesh.address,
    ca: options.ca ?? (() => Buffer.from(mesh.authority.bundle())),
    token: options.token ?? (() => mesh.token(claims)),
    node: { id: options.account, userAgent: 'tulle-test/1' },
    types: [
      { typeUrl: secretType, names: [secretNames.identity, secretNames.roots] },
      ...Object.values(tulleTypes).map((typeUrl) => ({ typeUrl })),
    ],
    onUpdate(typeUrl, update) {
      options.inspect?.(typeUrl, update);
      const names = received.get(typeUrl) ?? [];
      const mine = held.get(typeUrl) ?? new Map<string, Buffer>();
      received.set(typeUrl, [
        ...names,
        ...update.changed.map(({ name }) => name),
        ...update.removed.map((n) => `-${n}`),
      ]);
      held.set(typeUrl, mine);
      for (const { name, value } of update.changed) mine.set(name, value);
      for (const name of update.removed) mine.delete(name);
    },
    onState: (state) => states.push(state),
    signal: end.signal,
    random: () => 0,
  });
  return {
    received,
    held,
    states,
    json: <T>(typeUrl: string, name: string) => JSON.parse(held.get(typeUrl)?.get(name)?.toString() ?? 'null') as T,
    forget: () => received.clear(),
    until,
    close: () => {
      end.abort();
      return done;
    },
  };
}

/** Resolves when something has become true; sockets and promises get their turn in between. */
export async function until(condition: () => boolean): Promise<void> {
  const deadline = Date.now() + 8_000;
  while (!condition()) {
    if (Date.now() > deadline) throw new Error(`never came true: ${condition.toString()}`);
    await new Promise((resolve) => setImmediate(resolve));
  }
}
