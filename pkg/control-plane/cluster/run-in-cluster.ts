import { randomBytes, randomInt } from 'node:crypto';
import { setMaxListeners } from 'node:events';
import { hostname } from 'node:os';
import { setTimeout as delay } from 'node:timers/promises';
import { systemClock } from '../../certs/clock.ts';
import type { Logger } from '../../observability/logger.ts';
import { Metrics } from '../../observability/metrics.ts';
import type { Problem } from '../../problem/problem.ts';
import { findMeshKey } from '../../provider/objects/mesh-keys.ts';
import { type Cluster, type ClusterOptions, openCluster } from '../../provider/kubernetes/cluster.ts';
import { runLease } from '../../provider/kubernetes/lease.ts';
import { type KubernetesProvider, runKubernetesProvider } from '../../provider/kubernetes/run-kubernetes-provider.ts';
import { declareWatchMetrics } from '../../provider/kubernetes/watch-metrics.ts';
import { toPeerAddress } from '../../xds/call-peer.ts';
import type { ControlPlane } from '../control-plane.ts';
import { openCore } from '../core.ts';
import { type KubernetesConfig, toServiceNames } from '../kubernetes-config.ts';
import type { BuildInfo, RunningController } from '../run-controller.ts';
import { openClusterAuthority } from './cluster-authority.ts';
import type { ClusterControllerConfig } from './cluster-config.ts';
import { createClusterWebApps } from './cluster-web-apps.ts';
import { readClusterFacts } from './cluster-facts.ts';
import { runEventReports } from './event-reports.ts';
import { createHealthApp, type VersionInfo } from './health-app.ts';
import { toInjectionSettings } from './injection.ts';
import { runKeeper } from './keeper.ts';
import { createLeaderWork } from './leader-work.ts';
import { readOwner } from './own-token.ts';
import { createPodAuthentication } from './pod-authentication.ts';
import { listenPlain, listenXds } from './ports.ts';
import { listenTls, otlpLimits, webhookLimits } from './tls-listener.ts';
import { createTrustBundles } from './trust-bundles.ts';
import { toUnread } from './unread.ts';
import { createWebhookApp } from './webhook-app.ts';
import { createWebhookBundle, type WebhookBundle } from './webhook-bundle.ts';

export interface ClusterControllerOptions {
  readonly log: Logger;
  readonly version: string;
  readonly build?: BuildInfo;
  /** In a pod: `https://10.96.0.1:443`, in place of a name that needs DNS. */
  readonly apiServer?: string;
}

/**
 * Any pod of the cluster may come with a token of its own. A sidecar has one stream, and another while one that broke is
 * not given up yet.
 */
const limits = {
  ...{ streamsPerClient: 6, names: 40_000, messageBytes: 4 * 1024 * 1024 },
  // The chart gives the controller 512 MiB: a connection takes some 50 KiB before it is known whose it is.
  ...{ strangers: 1_024, strangersPerAddress: 64, queuedBytes: 96 * 1024 * 1024 },
  // A node that masquerades the addresses of its pods starts a hundred at most at once.
  ...{ pendingStreams: 1_024, pendingPerAddress: 128 },
};
/** How often a replica looks whether another has changed the roots, in milliseconds. */
const lookAtRoots = 30_000;

const unread = 'unread';
const unserved = 'xDS is not served yet';
const unhooked = 'the webhook is not served yet';
const steps = [unread, unserved, unhooked];

/** Runs the control plane of a cluster's mesh until the signal is aborted. */
export async function runInCluster(
  config: ClusterControllerConfig,
  { log, version, build, apiServer }: ClusterControllerOptions,
  stop: AbortSignal,
): Promise<RunningController> {
  const metrics = new Metrics();
  // It ends by itself as well: when the cluster can't be followed.
  const end = new AbortController();
  setMaxListeners(0, end.signal);
  stop.addEventListener('abort', () => end.abort());
  if (stop.aborted) end.abort();
  const closing: (() => Promise<unknown>)[] = [];
  const cluster = await openCluster(toClusterOptions(config.kubernetes, apiServer));
  const told = { version, ...build };
  const parts: Parts = { config, cluster, metrics, log, told, signal: end.signal, closing, missing: new Set(steps) };

  async function close(): Promise<void> {
    end.abort();
    await Promise.all(closing.map((each) => each()));
    cluster.close();
  }

  try {
    const { running, done } = await start(parts);
    // Whoever is connected is told to go elsewhere at once, not when the last watch has ended.
    return { ...running, done: Promise.race([done, ended(end.signal)]).finally(close) };
  } catch (error) {
    await close();
    throw error;
  }
}

/** What all parts share. */
interface Parts {
  readonly config: ClusterControllerConfig;
  readonly cluster: Cluster;
  readonly metrics: Metrics;
  readonly log: Logger;
  readonly told: VersionInfo;
  readonly signal: AbortSignal;
  /** All run at once when it ends. */
  readonly closing: (() => Promise<unknown>)[];
  /** What is not there yet; ready is when nothing is missing. */
  readonly missing: Set<string>;
}

interface Started {
  readonly running: Omit<RunningController, 'done'>;
  /** Settles when the cluster is no longer followed. */
  readonly done: Promise<void>;
}

async function start(parts: Parts): Promise<Started> {
  const { config, cluster, metrics, log, told, signal, closing, missing } = parts;
  const { kubernetes } = config;
  const clock = systemClock;
  const open = async <T extends { readonly port: number; readonly close: () => Promise<void> }>(
    listener: Promise<T>,
  ): Promise<number> => {
    const { port, close } = await listener;
    closing.push(close);
    return port;
  };

  // First of all, so that a probe finds somebody alive whatever the cluster does.
  const bundle: { current?: WebhookBundle } = {};
  const following: { status: KubernetesProvider['status'] } = { status: () => [] };
  const health = createHealthApp({
    missing: () =>
      [...missing]
        .map((step) => (step === unread ? toUnread(following.status()) : step))
        .concat(toList(bundle.current?.missing())),
    metrics,
    version: told,
  });
  const healthPort = await open(listenPlain(health, kubernetes.healthPort, 'everywhere'));

  const authority = await openClusterAuthority({ config, cluster, clock, log, signal, sleep });
  const serviceNames = toServiceNames(kubernetes);
  const onProblems = (problems: readonly Problem[]): void => events.problems(problems);
  const core = await openCore({ config, authority, clock, serviceNames, log, metrics, onProblems, limits });
  const { controlPlane, leaves } = core;
  closing.push(() => controlPlane.close());

  const { provider, first } = follow(parts, controlPlane);
  following.status = () => provider.status();
  declareWatchMetrics(metrics, following.status, Date.now);
  const trust = createTrustBundles({
    cluster,
    authority,
    service: kubernetes,
    meshName: kubernetes.meshName,
    wanted: () => (controlPlane.snapshot() ? toTrusting(provider, kubernetes.meshName) : undefined),
    onChange: () => work.changed(),
    signal,
    clock,
    random,
    log,
  });
  const instance = hostname();
  const findObject: KubernetesProvider['findObject'] = (resource) => provider.findObject(resource);
  const events = runEventReports({ cluster, findObject, instance, controlPlane, signal, clock, log });
  const election = { isLeader: () => false };
  if (kubernetes.webhookConfiguration !== undefined) {
    const name = kubernetes.webhookConfiguration;
    bundle.current = createWebhookBundle({ cluster, name, authority, isLeader: () => election.isLeader() });
  }
  const work = createLeaderWork({
    cluster,
    kubernetes,
    trust,
    ...(bundle.current ? { webhook: bundle.current } : {}),
    ...(kubernetes.caManaged ? { rotateRoots: core.rotateRoots } : {}),
    signal,
    log,
  });
  authority.subscribe(() => work.changed());
  provider.namespaces.subscribe(() => work.changed());
  provider.pods.subscribe(() => work.changed());
  const owner = await readOwner(kubernetes.tokenFile, log);
  const lease = runLease({
    cluster,
    ...(owner ? { owner } : {}),
    namespace: kubernetes.namespace,
    name: kubernetes.lease,
    identity: `${instance}_${randomBytes(4).toString('hex')}`,
    lead: (term) => {
      work.lead(term);
      events.lead(term);
    },
    onError: (error) => log.warn('the lease could not be looked after', { error }),
    signal,
    sleep,
  });
  election.isLeader = () => lease.isLeader();
  closing.push(() => lease.done);
  const onError = (error: unknown): void => log.error('the roots could not be looked at', { error });
  runKeeper({ work: async () => void (await authority.reload()), every: lookAtRoots, signal, onError });
  declareMetrics(metrics, { isLeader: election.isLeader, expiry: () => authority.issuer().notAfter });

  const asked = readClusterFacts({ cluster, kubernetes, version: told.version, log, signal, sleep });

  // The first mesh is published before anybody is served: a proxy that comes back is not sent a mesh half read.
  await Promise.race([first, provider.done, ended(signal)]);
  if (signal.aborted) return { running: { controlPlane }, done: provider.done };
  missing.delete(unread);
  work.changed();

  const authenticate = createPodAuthentication({
    ...{ config, cluster, metrics, log, sleep },
    pods: provider.pods,
    disconnect: (pod, reason) => disconnect(controlPlane, pod, reason),
  });
  const { view } = controlPlane;
  const common = { config, cluster, metrics, log, signal };
  const apps = createClusterWebApps({ ...common, authority, authenticate, view, clock, random });
  const otlpPort = await open(
    listenTls({ app: apps.otlp, port: kubernetes.otlpPort, limits: otlpLimits, leaves, log }),
  );
  const xdsPort = await listenXds(controlPlane, kubernetes.xdsPort, ({ peer, ...request }) =>
    authenticate({ ...request, peer: toPeerAddress(peer) }),
  );
  missing.delete(unserved);
  // Pods are not admitted before it is known what they can be given.
  const facts = await asked;
  if (signal.aborted) return { running: { controlPlane }, done: provider.done };
  const app = createWebhookApp({
    settings: () => toInjectionSettings(kubernetes, facts, provider.meshConfig()),
    namespaces: provider.namespaces,
    trust,
    cluster,
    metrics,
    log,
  });
  const webhookPort = await open(listenTls({ app, port: kubernetes.webhookPort, limits: webhookLimits, leaves, log }));
  missing.delete(unhooked);
  const apiPort =
    config.apiPort === undefined ? undefined : await open(listenPlain(apps.dashboard, config.apiPort, 'loopback'));
  const ports = { xds: xdsPort, otlp: otlpPort, webhook: webhookPort, health: healthPort };
  log.info('the control plane is up', { ...ports, apiPort, cluster: cluster.server, mesh: kubernetes.meshName });
  return { running: { controlPlane, ports, ...(apiPort === undefined ? {} : { apiPort }) }, done: provider.done };
}

/** Builds and publishes what the provider reads, and ends the streams of pods that are gone. */
function follow(
  { config, cluster, log, signal }: Parts,
  controlPlane: ControlPlane,
): { readonly provider: KubernetesProvider; readonly first: Promise<void> } {
  const { kubernetes, mesh } = config;
  let read = (): void => undefined;
  const first = new Promise<void>((resolve) => {
    read = resolve;
  });
  const provider = runKubernetesProvider({
    cluster,
    meshName: kubernetes.meshName,
    controlNamespace: kubernetes.namespace,
    meshConfigName: kubernetes.meshConfig,
    config: mesh,
    starting: kubernetes.injection.fastStart === true,
    signal,
    log,
    onSnapshot: (snapshot, problems, { locate }) => {
      controlPlane.apply({ snapshot, problems, locate });
      read();
    },
  });
  provider.pods.subscribe(({ namespace, name }) => disconnect(controlPlane, `${namespace}/${name}`, 'the pod is gone'));
  return { provider, first };
}

function disconnect(controlPlane: ControlPlane, name: string, reason: string): void {
  for (const server of controlPlane.servers()) server.disconnect(({ pod }) => pod === name, reason);
}

/** Those that are labelled, and those that still have pods with a sidecar, unless they are another mesh's. */
function toTrusting({ pods, namespaces }: KubernetesProvider, meshName: string): ReadonlySet<string> {
  const isOurs = (name: string): boolean => {
    const mesh = findMeshKey(namespaces.find(name)?.labels ?? {}, 'monitored-by')?.value;
    return mesh === undefined || mesh === meshName;
  };
  return new Set([...namespaces.meshed(), ...[...pods.namespaces()].filter(isOurs)]);
}

function declareMetrics(
  metrics: Metrics,
  { isLeader, expiry }: { readonly isLeader: () => boolean; readonly expiry: () => number },
): void {
  const leader = metrics.gauge('tulle_leader', '1: this replica writes');
  const root = metrics.gauge('tulle_root_expiry_timestamp_seconds', 'When the root that signs now expires');
  metrics.onCollect(() => {
    leader.set(isLeader() ? 1 : 0);
    root.set(Math.floor(expiry() / 1000));
  });
}

function toClusterOptions({ kubeconfig, context }: KubernetesConfig, apiServer: string | undefined): ClusterOptions {
  if (kubeconfig === undefined) return { inCluster: apiServer === undefined ? true : { server: apiServer } };
  return { kubeconfig, ...(context === undefined ? {} : { context }) };
}

const random = (): number => randomInt(2 ** 32) / 2 ** 32;
const toList = (text: string | undefined): readonly string[] => (text === undefined ? [] : [text]);

async function sleep(milliseconds: number, signal?: AbortSignal): Promise<void> {
  await delay(milliseconds, undefined, { ref: false, ...(signal ? { signal } : {}) }).catch(() => undefined);
}

function ended(signal: AbortSignal): Promise<void> {
  if (signal.aborted) return Promise.resolve();
  return new Promise((resolve) => signal.addEventListener('abort', () => resolve(), { once: true }));
}
