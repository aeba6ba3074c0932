import type { Probe, ProcessSpec } from './launcher-protocol.ts';
import type { ContainerPlan } from './pod-plan.ts';
import type { SidecarPod } from './sidecar-program.ts';

/** Without a probe: ready when its first port takes a connection; without a port: when it runs. */
export function readinessOf(container: ContainerPlan, spec: ProcessSpec, pod: SidecarPod): Probe | undefined {
  const appPort = (port: number): number => pod.ports.find((entry) => entry.port === port)?.appPort ?? port;
  const { readiness, readinessCommand, ports } = container;
  if (readiness && readinessCommand) {
    const [program = '', ...args] = readinessCommand;
    return { ...readiness, handler: { kind: 'exec', spec: { ...spec, program, args } } };
  }
  if (readiness) {
    const { handler } = readiness;
    return handler.kind === 'exec' ? readiness : { ...readiness, handler: { ...handler, port: appPort(handler.port) } };
  }
  const [first] = ports;
  return (
    first && {
      handler: { kind: 'tcp', port: appPort(first.port) },
      initialDelayMs: 0,
      periodMs: 2_000,
      timeoutMs: 1_000,
      successThreshold: 1,
      failureThreshold: 3,
      eager: true,
    }
  );
}
