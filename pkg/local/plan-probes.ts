import type { Container } from '../provider/files/workload.ts';
import type { Probe } from './launcher-protocol.ts';
import type { ContainerPlan } from './pod-plan.ts';

type ProbePlans = Pick<
  ContainerPlan,
  'readiness' | 'readinessCommand' | 'liveness' | 'livenessCommand' | 'startup' | 'startupCommand'
>;

/** The probes of a container as the launcher asks them; the ports are the container's, their names resolved. */
export function planProbes(container: Container): ProbePlans {
  const { readinessProbe, livenessProbe, startupProbe } = container;
  const readiness = toProbe(container, readinessProbe);
  const liveness = toProbe(container, livenessProbe);
  const startup = toProbe(container, startupProbe);
  return {
    ...(readiness && { readiness }),
    ...(readinessProbe?.exec && { readinessCommand: readinessProbe.exec.command }),
    ...(liveness && { liveness: { ...liveness, counted: true } }),
    ...(livenessProbe?.exec && { livenessCommand: livenessProbe.exec.command }),
    ...(startup && { startup: { ...startup, counted: true } }),
    ...(startupProbe?.exec && { startupCommand: startupProbe.exec.command }),
  };
}

function toProbe({ ports }: Container, probe: Container['readinessProbe']): Probe | undefined {
  if (!probe) return undefined;
  const {
    httpGet,
    tcpSocket,
    grpc,
    initialDelaySeconds,
    periodSeconds,
    timeoutSeconds,
    successThreshold,
    failureThreshold,
  } = probe;
  const number = (port: number | string): number | undefined =>
    typeof port === 'number' ? port : ports.find(({ name }) => name === port)?.port;
  const times = {
    initialDelayMs: toMillis(initialDelaySeconds),
    periodMs: toMillis(Math.max(1, periodSeconds)),
    timeoutMs: toMillis(Math.max(1, timeoutSeconds)),
    successThreshold: Math.max(1, successThreshold),
    failureThreshold: Math.max(1, failureThreshold),
    eager: false,
  };
  if (httpGet) {
    const port = number(httpGet.port);
    const headers = Object.fromEntries(httpGet.httpHeaders.map(({ name, value }) => [name, value]));
    const tls = httpGet.scheme.toUpperCase() === 'HTTPS';
    return port === undefined
      ? undefined
      : { ...times, handler: { kind: 'http', port, path: httpGet.path || '/', tls, headers } };
  }
  const port = number(tcpSocket?.port ?? grpc?.port ?? '');
  // Its command is filled in when the container's process is known.
  return port === undefined
    ? { ...times, handler: { kind: 'tcp', port: 0 } }
    : { ...times, handler: { kind: 'tcp', port } };
}

/** The longest that a timer can wait: one that is given more does not wait at all. */
const longestMillis = 2 ** 31 - 1;

function toMillis(seconds: number): number {
  return Math.min(seconds * 1000, longestMillis);
}
