import { ServerCredentials } from '@grpc/grpc-js';
import type { MeshModel } from '../catalog/mesh-model.ts';
import { changeOf } from '../catalog/lists.ts';
import type { Locate, MeshConfig, MeshSnapshot, Pod } from '../catalog/snapshot.ts';
import type { CertificateAuthority } from '../certs/authority.ts';
import type { LeafCertificates } from '../certs/leaf-certificates.ts';
import { controllerName } from '../certs/workload-names.ts';
import type { MeshState, MeshView, ProxyState } from '../dashboard/mesh-view.ts';
import type { Logger } from '../observability/logger.ts';
import type { Metrics } from '../observability/metrics.ts';
import type { Outcome, Problem } from '../problem/problem.ts';
import { type AdsServer, type Authenticate, createAdsServer } from '../xds/ads-server.ts';
import type { MessageEncoder } from '../xds/message-encoder.ts';
import type { AdsServerLimits } from '../xds/server-limits.ts';
import { createEnvoyResources } from './envoy-resources.ts';
import { createLiveView } from './live-view.ts';
import { createMeshSource, type MeshSource } from './mesh-source.ts';
import { toProxyStates } from './mesh-state.ts';
import { createProblemLog } from './problem-log.ts';
import { createSecretViews } from './secret-views.ts';
import { RenewableServerCredentials } from './server-credentials.ts';

/** What was read at one moment, wherever it came from. */
export interface MeshInput {
  readonly snapshot: MeshSnapshot;
  /** Of reading it. */
  readonly problems: readonly Problem[];
  readonly locate?: Locate;
}

export interface ControlPlaneOptions {
  readonly id: string;
  readonly mesh: MeshConfig;
  readonly isolation: MeshState['isolation'];
  readonly inputs: readonly string[];
  readonly authority: CertificateAuthority;
  readonly leaves: LeafCertificates;
  readonly build: (snapshot: MeshSnapshot) => Outcome<MeshModel>;
  readonly loadEncoder: () => MessageEncoder;
  readonly log: Logger;
  readonly metrics: Metrics;
  readonly now?: () => number;
  readonly limits?: Partial<AdsServerLimits>;
  /** Takes all problems of the mesh, each time that it was built. */
  readonly onProblems?: (problems: readonly Problem[]) => void;
}

/** From what was read to what proxies are told: builds, publishes, serves. Nothing here reads files or knows paths. */
export interface ControlPlane {
  readonly source: MeshSource;
  readonly view: MeshView;
  snapshot(): MeshSnapshot | undefined;
  /** Builds the mesh and publishes it. What can't be built is told, and the last good mesh stays in force. */
  apply(input: MeshInput): void;
  /** Serves ADS over TLS with the control plane's own certificate, or in plaintext; gives the port. */
  listen(address: string, authenticate: Authenticate, security: 'tls' | 'plaintext'): Promise<number>;
  /** All that serve. */
  servers(): readonly AdsServer[];
  close(): Promise<void>;
}

export function createControlPlane(options: ControlPlaneOptions): ControlPlane {
  const { mesh, authority, leaves, build, loadEncoder, log, metrics, now } = options;
  const inboundAddresses = new Map<string, string>();
  const envoy = createEnvoyResources({ loadEncoder, inboundAddress: (pod) => inboundAddresses.get(pod) });
  const secrets = createSecretViews({ authority, leaves, loadEncoder });
  const source = createMeshSource({ secrets, envoy, log });
  const servers: AdsServer[] = [];
  const credentials: RenewableServerCredentials[] = [];
  const logProblems = createProblemLog(log);
  const buildSeconds = metrics.histogram('tulle_build_seconds', 'Building the mesh from what was read');
  const buildFailures = metrics.counter(
    'tulle_build_failures_total',
    'Builds that failed, whole or in part: the last good stayed',
  );
  let snapshot: MeshSnapshot | undefined;
  let problems: readonly Problem[] = [];
  let review: (() => void) | undefined;
  const proxies = (): readonly ProxyState[] => toProxyStates(servers.flatMap((server) => server.status()));
  const view = createLiveView({
    controller: { id: options.id, isolation: options.isolation, inputs: options.inputs },
    mesh,
    inForce: () => ({ snapshot, model: source.model(), problems }),
    proxies,
  });

  function apply(input: MeshInput): void {
    const start = performance.now();
    let outcome: Outcome<MeshModel>;
    try {
      outcome = build(input.snapshot);
    } catch (error) {
      buildFailures.inc();
      log.error('the mesh could not be built; the last good one stays in force', { error });
      return;
    }
    buildSeconds.observe((performance.now() - start) / 1000);
    const before = source.model();
    const pods = changeOf(snapshot?.pods ?? [], input.snapshot.pods);
    snapshot = input.snapshot;
    source.publish(outcome.value, pods && readdress(pods.added));
    if (before && pods) dismiss(pods.removed, outcome.value);
    // Proxies come first: what people are told can wait until they have been sent what is theirs.
    review = () => {
      problems = [...input.problems, ...outcome.problems.map((problem) => withPosition(problem, input.locate))];
      logProblems(problems);
      options.onProblems?.(problems);
    };
    setImmediate(reviewNow);
  }

  /** For people and metrics: what the mesh that is in force says of itself. */
  function reviewNow(): void {
    const run = review;
    if (run === undefined) return;
    review = undefined;
    try {
      run();
    } catch (error) {
      buildFailures.inc();
      log.error('the problems of the mesh could not be found or told; the mesh itself is in force', { error });
    }
    view.meshChanged();
  }

  /** Notes where the sidecars of these pods are reached; gives those for whom that changed. */
  function readdress(pods: readonly Pod[]): string[] {
    return pods.flatMap(({ namespace, name, inboundAddress }) => {
      const pod = `${namespace}/${name}`;
      if (inboundAddresses.get(pod) === inboundAddress) return [];
      if (inboundAddress === undefined) inboundAddresses.delete(pod);
      else inboundAddresses.set(pod, inboundAddress);
      return [pod];
    });
  }

  /** Ends the streams of pods that are gone: their tokens may still be valid. */
  function dismiss(removed: readonly Pod[], { pods }: MeshModel): void {
    const gone = new Set(removed.map(({ namespace, name }) => `${namespace}/${name}`).filter((pod) => !pods.has(pod)));
    if (gone.size === 0) return;
    envoy.retain(pods);
    for (const pod of gone) inboundAddresses.delete(pod);
    for (const server of servers) server.disconnect(({ pod }) => pod !== undefined && gone.has(pod), 'the pod is gone');
  }

  const stopRenewals = [
    authority.subscribe(() => source.refresh()),
    leaves.subscribe((owner) => {
      if (owner === controllerName) for (const each of credentials) each.renew(leaves.of(controllerName));
      else if (isConnected(owner)) source.refresh();
      // Whoever is not connected is issued a new one when it comes back.
      else queueMicrotask(() => leaves.retain((other) => other !== owner));
    }),
  ];

  function isConnected(identity: string): boolean {
    return servers.some((server) => server.clients().some((client) => client.identity === identity));
  }

  const gauge = metrics.gauge('tulle_xds_proxies', 'Connected proxies by how far they are', ['state']);
  const problemGauge = metrics.gauge('tulle_problems', 'Problems of the mesh in force', ['severity']);
  metrics.onCollect(() => {
    reviewNow();
    const states = proxies().map(({ types }) => stateOf(types));
    const count = (wanted: string): number => states.filter((state) => state === wanted).length;
    for (const each of ['synced', 'pending', 'refused']) gauge.set(count(each), { state: each });
    for (const severity of ['error', 'warning', 'info']) {
      problemGauge.set(problems.filter((problem) => problem.severity === severity).length, { severity });
    }
  });

  return {
    source,
    snapshot: () => snapshot,
    apply,
    servers: () => servers,
    view: {
      state() {
        reviewNow();
        return view.state();
      },
      subscribe: (listener) => view.subscribe(listener),
    },
    async listen(address, authenticate, security) {
      const server = createAdsServer({
        source,
        authenticate,
        byTokenAlone: security === 'tls',
        log,
        metrics,
        ...(now ? { now } : {}),
        ...(options.limits ? { limits: options.limits } : {}),
      });
      server.onStatus(() => view.proxiesChanged());
      servers.push(server);
      if (security === 'plaintext') return server.listen(address, ServerCredentials.createInsecure());
      const own = new RenewableServerCredentials(leaves.of(controllerName));
      credentials.push(own);
      return server.listen(address, own);
    },
    async close() {
      for (const stop of stopRenewals) stop();
      leaves.close();
      await Promise.all(servers.map((server) => server.close()));
    },
  };
}

function withPosition(problem: Problem, locate: Locate | undefined): Problem {
  const position = problem.position ?? locate?.(problem.resource, problem.field);
  return position ? { ...problem, position } : problem;
}

function stateOf(types: readonly { readonly synced: boolean; readonly nack?: string }[]): string {
  if (types.some(({ nack }) => nack !== undefined)) return 'refused';
  return types.every(({ synced }) => synced) ? 'synced' : 'pending';
}
