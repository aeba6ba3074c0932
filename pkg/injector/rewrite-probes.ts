import { podPorts } from '../envoy-config/pod-bootstrap.ts';
import { toTcpCheckPath } from '../envoy-config/probe-listener.ts';
import type { ProbeListener, TcpCheck } from '../envoy-config/probe-listener.ts';
import type { Container, Handler, Lifecycle, Probe } from './pod.ts';
import { isSidecar } from './pod.ts';

export interface RewrittenProbes {
  readonly containers: readonly Container[];
  readonly initContainers: readonly Container[];
  readonly listeners: readonly ProbeListener[];
  readonly warnings: readonly string[];
}

export interface ProbeRewrite {
  readonly containers: readonly Container[];
  readonly initContainers: readonly Container[];
  /** Ports that the kubelet reaches as they are: nothing is rewritten for them. */
  readonly open: ReadonlySet<number>;
  /** Ports that no listener may take. */
  readonly taken: ReadonlySet<number>;
}

/**
 * Leads what the kubelet asks of an app, probes and httpGet hooks, through listeners that pass on these requests alone:
 * by itself it has no certificate, and asking a proxy whether a port is open says nothing of the app (DECISIONS E10).
 * What names another `host`, and `exec`, is left as it is.
 */
export function rewriteProbes({ containers, initContainers, open, taken }: ProbeRewrite): RewrittenProbes {
  const plan = createPlan(taken);
  const warnings: string[] = [];

  function rewriteContainer(container: Container): Container {
    const { livenessProbe, readinessProbe, startupProbe, lifecycle } = container;
    return {
      ...container,
      ...(livenessProbe ? { livenessProbe: rewriteProbe(livenessProbe, container, 'livenessProbe') } : {}),
      ...(readinessProbe ? { readinessProbe: rewriteProbe(readinessProbe, container, 'readinessProbe') } : {}),
      ...(startupProbe ? { startupProbe: rewriteProbe(startupProbe, container, 'startupProbe') } : {}),
      ...(lifecycle ? { lifecycle: rewriteLifecycle(lifecycle, container) } : {}),
    };
  }

  function rewriteProbe(probe: Probe, container: Container, kind: string): Probe {
    const { tcpSocket, grpc } = probe;
    if (tcpSocket && !tcpSocket.host) {
      const appPort = toPort(tcpSocket.port, container, kind);
      if (appPort === undefined || open.has(appPort)) return probe;
      const { periodSeconds = 10, timeoutSeconds = 1 } = probe;
      const intervalSeconds = clamp(periodSeconds, 1, 10);
      const port = plan.tcp({ appPort, intervalSeconds, timeoutSeconds: clamp(timeoutSeconds, 1, 10) });
      const httpGet = { path: toTcpCheckPath(appPort), port, scheme: 'HTTP' };
      return { ...Object.fromEntries(Object.entries(probe).filter(([key]) => key !== 'tcpSocket')), httpGet };
    }
    if (grpc) {
      const appPort = toPort(grpc.port, container, kind);
      if (appPort === undefined || open.has(appPort)) return probe;
      return { ...probe, grpc: { ...grpc, port: plan.grpc(appPort) } };
    }
    return rewriteHttp(probe, container, kind);
  }

  function rewriteLifecycle(lifecycle: Lifecycle, container: Container): Lifecycle {
    const { postStart, preStop } = lifecycle;
    return {
      ...lifecycle,
      ...(postStart ? { postStart: rewriteHttp(postStart, container, 'lifecycle.postStart') } : {}),
      ...(preStop ? { preStop: rewriteHttp(preStop, container, 'lifecycle.preStop') } : {}),
    };
  }

  function rewriteHttp<H extends Handler>(handler: H, container: Container, kind: string): H {
    const { httpGet } = handler;
    if (!httpGet || httpGet.host) return handler;
    const appPort = toPort(httpGet.port, container, kind);
    if (appPort === undefined || open.has(appPort)) return handler;
    const tls = httpGet.scheme?.toUpperCase() === 'HTTPS';
    const port = plan.http(appPort, tls, toRequestTarget(httpGet.path));
    return { ...handler, httpGet: { ...httpGet, port, scheme: 'HTTP' } };
  }

  /** As the kubelet finds it: a number, the name of a port of the same container, or a number as text. */
  function toPort(port: number | string | undefined, { name, ports }: Container, kind: string): number | undefined {
    const named = typeof port === 'string' ? ports?.find((one) => one.name === port)?.containerPort : undefined;
    const found = named ?? Number(port);
    if (Number.isInteger(found) && found > 0 && found < 65_536) return found;
    warnings.push(
      `container ${name}: ${kind} asks port "${port}", which the container doesn't have; it is left as it is`,
    );
    return undefined;
  }

  const rewritten = {
    containers: containers.map(rewriteContainer),
    initContainers: initContainers.map((one) => (isSidecar(one) ? rewriteContainer(one) : one)),
  };
  return { ...rewritten, listeners: plan.toListeners(), warnings };
}

/** Gives each port of the app, by how it is asked, one listener; all TCP checks share one. */
function createPlan(taken: ReadonlySet<number>) {
  const listeners = new Map<string, { readonly port: number; readonly toListener: (port: number) => ProbeListener }>();
  /** By key of their listener. */
  const targets = new Map<string, Set<string>>();
  /** By port of the app. */
  const checks = new Map<number, TcpCheck>();
  let next: number = podPorts.probes;

  function listen(key: string, toListener: (port: number) => ProbeListener): number {
    const known = listeners.get(key);
    if (known) return known.port;
    while (taken.has(next)) next++;
    const port = next++;
    listeners.set(key, { port, toListener });
    return port;
  }

  return {
    http(appPort: number, tls: boolean, target: string): number {
      const key = `${tls ? 'https' : 'http'}/${appPort}`;
      const own = targets.get(key) ?? new Set();
      targets.set(key, own.add(target));
      return listen(key, (port) => ({ kind: 'http', port, appPort, tls, targets: [...own] }));
    },
    grpc: (appPort: number): number => listen(`grpc/${appPort}`, (port) => ({ kind: 'grpc', port, appPort })),
    tcp(check: TcpCheck): number {
      checks.set(check.appPort, merge(checks.get(check.appPort), check));
      return listen('tcp', (port) => ({ kind: 'tcp', port, checks: [...checks.values()] }));
    },
    toListeners: (): readonly ProbeListener[] =>
      Array.from(listeners.values(), ({ port, toListener }) => toListener(port)),
  };
}

/** One check for two probes: as often as the more eager asks, as patient as the more patient. */
function merge(known: TcpCheck | undefined, check: TcpCheck): TcpCheck {
  if (!known) return check;
  return {
    appPort: check.appPort,
    intervalSeconds: Math.min(known.intervalSeconds, check.intervalSeconds),
    timeoutSeconds: Math.max(known.timeoutSeconds, check.timeoutSeconds),
  };
}

/** The request line's target that the kubelet makes of a probe's `path`: Go's `url.Parse` and `RequestURI`. */
export function toRequestTarget(path = '/'): string {
  const [withoutFragment = ''] = Buffer.from(path).toString().split('#', 1);
  const rooted = withoutFragment.startsWith('/') ? withoutFragment : `/${withoutFragment}`;
  return rooted.replace(/[^A-Za-z0-9\-._~!$&'()*+,;=:@/?%]+/gu, encodeURIComponent);
}

function clamp(value: number, least: number, most: number): number {
  return Math.min(most, Math.max(least, value));
}
