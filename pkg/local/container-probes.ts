import type { LauncherCommand, LauncherEvent, ProcessSpec } from './launcher-protocol.ts';
import type { ContainerPlan } from './pod-plan.ts';
import { probeOf, readinessOf } from './pod-readiness.ts';
import type { ContainerStatus } from './pod-status.ts';
import type { SidecarPod } from './sidecar-program.ts';

export interface ContainerProbesOptions {
  readonly pod: SidecarPod;
  readonly tell: (command: LauncherCommand) => void;
  readonly later: (ms: number, task: () => void) => void;
}

/** The probes of a pod's containers, and what follows from their answers, as the kubelet has it. */
export interface ContainerProbes {
  /** From the start of a container on: its startup probe, and after its success, or without one, the others. */
  watch(container: ContainerPlan, spec: ProcessSpec, status: ContainerStatus): void;
  heard(event: Extract<LauncherEvent, { type: 'probe' }>, status: ContainerStatus): void;
  /** A container has ended; why a probe has ended it, if one has. */
  ended(name: string): string | undefined;
}

export function createContainerProbes({ pod, tell, later }: ContainerProbesOptions): ContainerProbes {
  const unhealthy = new Map<string, string>();
  const afterStartup = new Map<string, () => void>();

  function watchRunning(container: ContainerPlan, spec: ProcessSpec, status: ContainerStatus): void {
    const { name } = container;
    const liveness = probeOf(container, 'liveness', spec, pod);
    if (liveness) tell({ type: 'watch', name, kind: 'liveness', probe: liveness });
    const readiness = readinessOf(container, spec, pod);
    if (readiness) tell({ type: 'watch', name, kind: 'readiness', probe: readiness });
    else status.ready = true;
  }

  /** Asked to end, and made to when it does not; what follows is a restart like any other. */
  function endUnhealthy(status: ContainerStatus, why: string): void {
    const { name, pid } = status;
    unhealthy.set(name, why);
    Object.assign(status, { ready: false, message: why });
    tell({ type: 'unwatch', name });
    tell({ type: 'signal', name, signal: 'SIGTERM' });
    later(pod.plan.graceMs, () => {
      if (status.pid === pid) tell({ type: 'signal', name, signal: 'SIGKILL' });
    });
  }

  return {
    watch(container, spec, status) {
      const { name } = container;
      const startup = probeOf(container, 'startup', spec, pod);
      if (!startup) return watchRunning(container, spec, status);
      afterStartup.set(name, () => watchRunning(container, spec, status));
      tell({ type: 'watch', name, kind: 'startup', probe: startup });
    },
    heard({ name, kind, success, message }, status) {
      if (kind === 'readiness') {
        Object.assign(status, { ready: success, message: success ? '' : message });
      } else if (!success) {
        endUnhealthy(status, `its ${kind} probe failed: ${message}`);
      } else if (kind === 'startup') {
        tell({ type: 'unwatch', name, kind });
        afterStartup.get(name)?.();
        afterStartup.delete(name);
      }
    },
    ended(name) {
      const why = unhealthy.get(name);
      unhealthy.delete(name);
      afterStartup.delete(name);
      tell({ type: 'unwatch', name });
      return why;
    },
  };
}
