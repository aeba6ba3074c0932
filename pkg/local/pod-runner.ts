import { rmSync } from 'node:fs';
import { createContainerProbes } from './container-probes.ts';
import { createBackoff, type Backoff } from './backoff.ts';
import { startLauncher, type LauncherHandle } from './launcher-handle.ts';
import type { LauncherEvent, ProcessSpec } from './launcher-protocol.ts';
import { writeNames } from './pod-names.ts';
import type { ContainerPlan, PodPlan } from './pod-plan.ts';
import type { ContainerStatus, PodStatus } from './pod-status.ts';
import { createPodTimers } from './pod-timers.ts';
import { sendSignal } from './processes.ts';
import type { SidecarPod, SidecarProgram } from './sidecar-program.ts';

export interface PodRunner {
  readonly plan: PodPlan;
  readonly status: PodStatus;
  readonly pod: SidecarPod;
  /** Everything that it started, for the record of processes. */
  pids(): readonly number[];
  /** Ends it in order: no new calls, those that run (when draining), the app, the rest. Resolves when nothing of it is left. */
  stop(how: { readonly drain: boolean }): Promise<void>;
  /** At once. */
  kill(): void;
}

export interface PodRunnerOptions {
  readonly plan: PodPlan;
  readonly pod: SidecarPod;
  readonly addresses: PodStatus['addresses'];
  readonly sidecar: SidecarProgram | undefined;
  /** Starts the launcher in the pod's namespaces; what is written to the pod's directory before is there. */
  readonly launcher: () => Pick<Parameters<typeof startLauncher>[0], 'command' | 'env' | 'cwd'>;
  readonly process: (container: ContainerPlan) => ProcessSpec;
  readonly relays: readonly { readonly port: number; readonly socket: string }[];
  onChange(): void;
  onLog(container: string, stream: 'out' | 'err', line: string): void;
  /** Nothing of it is left. */
  onGone(): void;
}

const sidecarName = 'sidecar';
const drainMs = 5_000;
/** For the change "not ready" to be on its way to the others before the sidecar stops taking calls. */
const announceMs = 300;

/** Runs one pod: its launcher, its sidecar, then its containers; restarts what ends as Kubernetes does. */
export function runPod(options: PodRunnerOptions): PodRunner {
  const { plan, pod, sidecar } = options;
  const backoffs = new Map<string, Backoff>();
  const startedAt = new Map<string, number>();
  const timers = createPodTimers();
  const { later, until } = timers;
  const status: PodStatus = {
    phase: 'Pending',
    ready: false,
    stopping: false,
    ip: pod.ip,
    containers: plan.containers.map(({ name }) => containerStatus(name)),
    inits: (plan.inits ?? []).map(({ name }) => containerStatus(name)),
    sidecar: sidecar ? containerStatus(sidecarName) : undefined,
    addresses: options.addresses,
  };
  let launcher: LauncherHandle | undefined;
  const probes = createContainerProbes({ pod, later, tell: (command) => launcher?.tell(command) });

  function changed(): void {
    status.ready =
      !status.stopping &&
      status.phase === 'Running' &&
      (status.sidecar?.ready ?? true) &&
      status.containers.every(({ ready }) => ready);
    timers.wake();
    options.onChange();
  }

  function backoffOf(name: string): Backoff {
    const backoff =
      backoffs.get(name) ?? createBackoff(name === sidecarName ? 50 : 200, name === sidecarName ? 5_000 : 30_000);
    backoffs.set(name, backoff);
    return backoff;
  }

  function startAgain(): void {
    try {
      startAll();
    } catch (error) {
      launcherEnded((error as Error).message);
    }
  }

  function startAll(): void {
    writeNames(pod);
    launcher = startLauncher({ ...options.launcher(), onEvent: handle, onExit: launcherEnded });
  }

  function handle(event: LauncherEvent): void {
    switch (event.type) {
      case 'up':
        for (const { port, socket } of options.relays) {
          rmSync(socket, { force: true });
          launcher?.tell({ type: 'relay', port, socket });
        }
        return sidecar ? startSidecar(sidecar) : startNext();
      case 'started': {
        const container = find(event.name);
        if (!container) return;
        Object.assign(container, { state: 'running', reason: '', message: '', pid: event.pid });
        startedAt.set(event.name, Date.now());
        if (status.containers.includes(container)) status.phase = 'Running';
        return changed();
      }
      case 'failed':
        return processEnded(event.name, 'StartError', event.message, false);
      case 'exited': {
        const { code, signal } = event;
        return processEnded(event.name, code === 0 ? 'Completed' : 'Error', `ended with ${code ?? signal}`, code === 0);
      }
      case 'probe': {
        const container = find(event.name);
        if (container?.state !== 'running') return;
        probes.heard(event, container);
        return changed();
      }
      case 'log':
        options.onLog(event.name, event.stream, event.line);
    }
  }

  function find(name: string): ContainerStatus | undefined {
    if (name === sidecarName) return status.sidecar;
    return [...status.containers, ...status.inits].find((container) => container.name === name);
  }

  function planOf(wanted: string): ContainerPlan | undefined {
    return [...plan.containers, ...(plan.inits ?? [])].find(({ name }) => name === wanted);
  }

  function startSidecar(program: SidecarProgram): void {
    if (status.stopping) return;
    let spec: ProcessSpec;
    try {
      spec = program.prepare(pod);
    } catch (error) {
      return processEnded(sidecarName, 'StartError', (error as Error).message, false);
    }
    launcher?.tell({ type: 'start', name: sidecarName, spec });
    const ask = async (): Promise<void> => {
      const ready = await program.isReady(pod).catch(() => false);
      if (timers.ended || !status.sidecar || status.sidecar.state === 'terminated') return;
      if (!ready) return later(30, () => void ask());
      status.sidecar.ready = true;
      changed();
      if (status.containers.every(({ state }) => state === 'waiting')) startNext();
    };
    later(30, () => void ask());
  }

  /** The next init container, and after the last one all others. */
  function startNext(): void {
    const init = status.inits.find(({ reason }) => reason !== 'Completed');
    const first = init && planOf(init.name);
    if (first && init.state === 'waiting') startContainer(first);
    if (init) return;
    for (const container of plan.containers) if (find(container.name)?.state === 'waiting') startContainer(container);
  }

  function startContainer(containerPlan: ContainerPlan): void {
    if (status.stopping) return;
    const { name } = containerPlan;
    const spec = options.process(containerPlan);
    launcher?.tell({ type: 'start', name, spec });
    const container = status.containers.find((candidate) => candidate.name === name);
    if (container) probes.watch(containerPlan, spec, container);
  }

  function processEnded(name: string, reason: string, message: string, success: boolean): void {
    const container = find(name);
    if (!container) return;
    const backoff = backoffOf(name);
    backoff.lived(Date.now() - (startedAt.get(name) ?? Date.now()));
    const ill = probes.ended(name);
    const text = ill === undefined ? { reason, message } : { reason: 'Unhealthy', message: ill };
    Object.assign(container, { state: 'terminated', ...text, ready: false });
    delete container.pid;
    if (status.stopping) return changed();
    const isInit = status.inits.includes(container);
    if (container === status.sidecar && sidecar) {
      later(backoff.next(), () => {
        container.restarts += 1;
        container.state = 'waiting';
        startSidecar(sidecar);
      });
    } else if (isInit && success) {
      startNext();
    } else if (isInit || ill !== undefined || plan.restart === 'Always' || (!success && plan.restart === 'OnFailure')) {
      restartLater(container, backoff);
    } else {
      settle();
    }
    changed();
  }

  function restartLater(container: ContainerStatus, backoff: Backoff): void {
    const wait = backoff.next();
    if (backoff.attempts > 1) container.reason = 'CrashLoopBackOff';
    container.message += `, started again in ${wait / 1000} s`;
    later(wait, () => {
      container.restarts += 1;
      const containerPlan = planOf(container.name);
      if (containerPlan) startContainer(containerPlan);
    });
  }

  /** A pod whose containers have all ended for good is done, and so is its sidecar. */
  function settle(): void {
    if (!status.containers.every(({ state }) => state === 'terminated')) return;
    const failed = status.containers.some(({ reason }) => reason !== 'Completed');
    status.phase = failed ? 'Failed' : 'Succeeded';
    status.stopping = true;
    launcher?.close();
  }

  function launcherEnded(reason: string): void {
    launcher = undefined;
    endOrphans();
    for (const container of everyProcess()) {
      if (container.state === 'running')
        Object.assign(container, { state: 'terminated', reason: 'Error', message: reason });
      container.ready = false;
      delete container.pid;
      probes.ended(container.name);
    }
    if (status.stopping) {
      finish();
      return changed();
    }
    timers.clear();
    status.phase = 'Pending';
    for (const container of [...status.containers, ...status.inits]) {
      container.restarts += 1;
      Object.assign(container, { state: 'waiting', reason: 'PodRestarting', message: reason });
    }
    if (status.sidecar) Object.assign(status.sidecar, { state: 'waiting', reason: 'PodRestarting', message: reason });
    later(backoffOf('launcher').next(), startAgain);
    changed();
  }

  function finish(): void {
    timers.end();
    options.onGone();
  }

  async function stop({ drain }: { readonly drain: boolean }): Promise<void> {
    if (timers.ended) return;
    const wasReady = drain && status.ready;
    status.stopping = true;
    changed();
    if (!launcher) return finish();
    if (wasReady) await until(() => false, announceMs);
    if (wasReady && status.sidecar?.state === 'running') {
      launcher?.tell({ type: 'signal', name: sidecarName, signal: 'SIGTERM' });
      await until(() => status.sidecar?.state !== 'running', drainMs);
    }
    const running = (): ContainerStatus[] =>
      everyProcess().filter((container) => container !== status.sidecar && container.state === 'running');
    for (const { name } of running()) launcher?.tell({ type: 'signal', name, signal: 'SIGTERM' });
    await until(() => running().length === 0, drain ? plan.graceMs : 2_000);
    launcher?.close();
    await until(() => false, 3_000);
    kill();
  }

  function kill(): void {
    status.stopping = true;
    endOrphans();
    launcher?.kill();
  }

  /** A killed launcher can't end what it started; in a namespace the kernel does. */
  function endOrphans(): void {
    if (!pod.isolated) for (const pid of ownPids()) sendSignal(-pid, 'SIGKILL');
  }

  function ownPids(): readonly number[] {
    return everyProcess().flatMap(({ pid }) => pid ?? []);
  }

  function everyProcess(): readonly ContainerStatus[] {
    return [...status.inits, ...status.containers, ...(status.sidecar ? [status.sidecar] : [])];
  }

  startAll();
  return {
    plan,
    status,
    pod,
    // Numbers inside a namespace mean nothing out here, and end with it.
    pids: () => [...(launcher ? [launcher.pid] : []), ...(pod.isolated ? [] : ownPids())],
    stop,
    kill,
  };
}

function containerStatus(name: string): ContainerStatus {
  return { name, state: 'waiting', reason: 'Starting', message: '', restarts: 0, ready: false };
}
