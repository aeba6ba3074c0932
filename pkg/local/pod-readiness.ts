import type { Probe, ProcessSpec } from './launcher-protocol.ts';
import type { ContainerPlan } from './pod-plan.ts';
import type { SidecarPod } from './sidecar-program.ts';

/** Another probe of a container, as its pod runs it. */
export function probeOf(
  container: ContainerPlan,
  kind: 'liveness' | 'startup',
  spec: ProcessSpec,
  pod: SidecarPod,
): Probe | undefined {
  const probe = container[kind];
  const command = container[`${kind}Command`];
  return probe && toRunning(probe, command, spec, pod);
}

/** Without a probe: ready when its first port takes a connection; without a port: when it runs. */
export function readinessOf(container: ContainerPlan, spec: ProcessSpec, pod: SidecarPod): Probe | undefined {
  const { readiness, readinessCommand, ports } = container;
  if (readiness) return toRunning(readiness, readinessCommand, spec, pod);
  const [first] = ports;
  return (
    first && {
      handler: { kind: 'tcp', port: appPortOf(pod, first.port) },
      initialDelayMs: 0,
      periodMs: 2_000,
      timeoutMs: 1_000,
      successThreshold: 1,
      failureThreshold: 3,
      eager: true,
    }
  );
}

function toRunning(probe: Probe, command: readonly string[] | undefined, spec: ProcessSpec, pod: SidecarPod): Probe {
  if (command) {
    const [program = '', ...args] = command;
    return { ...probe, handler: { kind: 'exec', spec: { ...spec, program, args } } };
  }
  const { handler } = probe;
  return handler.kind === 'exec' ? probe : { ...probe, handler: { ...handler, port: appPortOf(pod, handler.port) } };
}

function appPortOf({ ports }: SidecarPod, port: number): number {
  return ports.find((entry) => entry.port === port)?.appPort ?? port;
}
