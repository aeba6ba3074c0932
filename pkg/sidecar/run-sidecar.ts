import { readFile } from 'node:fs/promises';
import type { Logger } from '../observability/logger.ts';
import { Metrics } from '../observability/metrics.ts';
import { createTracing } from '../observability/tracing.ts';
import type { HopSpan, Tracing } from '../observability/tracing.ts';
import { runAdmin } from './admin.ts';
import type { SidecarConfig } from './config.ts';
import { createDataPlane } from './data-plane.ts';
import type { DataPlane } from './data-plane.ts';
import { drain } from './drain.ts';
import { defaultLimits } from './exchange.ts';
import type { Limits } from './exchange.ts';
import { createForwardProxy } from './forward-proxy-site.ts';
import type { ForwardProxy } from './forward-proxy.ts';
import { createInterception } from './interception.ts';
import type { Interception } from './interception.ts';
import { runOutsideTraffic } from './outside-traffic.ts';
import { runPolicyClient } from './policy-client.ts';
import { createPolicyStore } from './policy-store.ts';
import type { PolicyStore } from './policy-store.ts';
import { createRandomHex } from './random-hex.ts';
import { createRecorder } from './recorder.ts';
import { createSecrets } from './secrets.ts';
import type { Secrets } from './secrets.ts';

/** Where policy and certificates come from: the control plane, or a test. It resolves when it has stopped. */
export type PolicySource = (into: PolicySink) => {
  readonly done: Promise<void>;
  readonly state: () => object;
};

export interface PolicySink {
  readonly store: PolicyStore;
  readonly secrets: Secrets;
  readonly metrics: Metrics;
  readonly logger: Logger;
  readonly signal: AbortSignal;
}

export interface SidecarOptions {
  readonly logger: Logger;
  readonly version: string;
  readonly source?: PolicySource;
  readonly limits?: Limits;
  readonly random?: () => number;
  /** Sees each span that is recorded, before it is sent. */
  readonly onSpan?: (span: HopSpan) => void;
}

export interface RunningSidecar {
  readonly data: DataPlane;
  readonly store: PolicyStore;
  readonly metrics: Metrics;
  readonly tracing: Tracing;
  readonly proxy: ForwardProxy | undefined;
  readonly notReady: () => string | undefined;
  /** Resolves once it has drained after the signal was aborted. */
  readonly done: Promise<void>;
}

/** Starts a sidecar; it runs until `signal` is aborted, and then drains. */
export async function runSidecar(
  config: SidecarConfig,
  options: SidecarOptions,
  signal: AbortSignal,
): Promise<RunningSidecar> {
  const {
    logger,
    limits = defaultLimits,
    random = Math.random,
    source = controlPlane(config, options.version),
  } = options;
  const metrics = new Metrics();
  const store = createPolicyStore();
  const secrets = createSecrets();
  const tracing = createTracing({
    resource: toResource(config),
    receivers: config.otlp,
  });
  countSpans(metrics, tracing);
  const recorder = createRecorder({
    metrics,
    record(span) {
      options.onSpan?.(span);
      tracing.record(span);
    },
    sampling: () => store.settings?.tracing.sampling ?? 1,
    randomHex: createRandomHex(),
    now: createClock(),
  });
  const onError = (what: string, error: Error): void => logger.error('failed', { what, error });
  const data = createDataPlane({
    config,
    store,
    secrets,
    recorder,
    metrics,
    limits,
    random,
    now: Date.now,
    onError,
  });
  const { outside } = config.outbound.kind === 'redirect' ? config.outbound : {};
  const outsideTraffic =
    outside && runOutsideTraffic({ outside, store, data, limits, logger, hosts: () => interception.hosts });
  const interception: Interception = createInterception({
    config,
    store,
    data,
    onError,
    ...(outsideTraffic && { outside: async () => (await outsideTraffic).ports }),
  });
  const stopping = new AbortController();
  const policy = source({
    store,
    secrets,
    metrics,
    logger,
    signal: stopping.signal,
  });
  const proxy =
    config.outbound.kind === 'proxy'
      ? await createForwardProxy(config, config.outbound, store, data, limits)
      : undefined;

  function notReady(): string | undefined {
    if (signal.aborted) return 'draining';
    if (!secrets.material) return 'no certificate yet';
    if (!store.ready) return 'no policy yet';
    return interception.notReady();
  }

  let drained: Promise<void> | undefined;
  const drainOnce = (): Promise<void> => (drained ??= drain(data, proxy, config.drainMillis ?? 5_000));
  const admin = await runAdmin({
    path: config.admin,
    metrics,
    store,
    notReady: () => (drained ? 'draining' : notReady()),
    listeners: () => data.listeners.list(),
    proxyPort: () => proxy?.port,
    drain: drainOnce,
    status: () => ({
      pod: config.pod,
      identity: secrets.material?.identity,
      xds: policy.state(),
      notReady: notReady(),
    }),
  });

  async function stop(): Promise<void> {
    await drainOnce();
    await outsideTraffic?.then((running) => running.close());
    stopping.abort();
    await policy.done;
    await tracing.shutdown();
    admin.closeAllConnections();
    admin.close();
  }
  const done = new Promise<void>((resolve, reject) => {
    const end = (): void => void stop().then(resolve, reject);
    if (signal.aborted) end();
    else signal.addEventListener('abort', end, { once: true });
  });
  logger.info('the sidecar runs', {
    pod: config.pod,
    outbound: config.outbound.kind,
    proxyPort: proxy?.port,
  });
  return { data, store, metrics, tracing, proxy, notReady, done };
}

/** Milliseconds since the epoch with fractions: spans of one host are shorter than one. */
function createClock(): () => number {
  const origin = performance.timeOrigin;
  return () => origin + performance.now();
}

function controlPlane({ pod, xds }: SidecarConfig, version: string): PolicySource {
  return ({ store, secrets, metrics, logger, signal }) => {
    const { address, ca, tokenFile } = xds;
    const [namespace = '', name = ''] = pod.split('/');
    const client = runPolicyClient({
      store,
      secrets,
      metrics,
      logger,
      signal,
      connection: {
        address,
        ...(ca === undefined ? {} : { ca: () => readFile(ca) }),
        ...(tokenFile === undefined ? {} : { token: () => readFile(tokenFile, 'utf8') }),
        node: {
          id: pod,
          userAgent: `tulle-sidecar/${version}`,
          metadata: { NAMESPACE: namespace, NAME: name },
        },
      },
    });
    return { done: client.done, state: () => client.state };
  };
}

function toResource({ pod, owner }: SidecarConfig): Record<string, string> {
  const [namespace = '', podName = ''] = pod.split('/');
  return {
    'service.name': owner.split('/').at(-1) || podName,
    'service.namespace': namespace,
    'k8s.pod.name': podName,
    'k8s.namespace.name': namespace,
  };
}

function countSpans(metrics: Metrics, { counts }: Tracing): void {
  const spans = metrics.gauge('tulle_spans', 'Spans recorded, sent, and lost on the way to a receiver.', ['state']);
  metrics.onCollect(() => {
    spans.set(counts.recorded, { state: 'recorded' });
    spans.set(counts.sent, { state: 'sent' });
    spans.set(counts.lost, { state: 'lost' });
  });
}
