import { dirname, resolve } from 'node:path';
import type { Problem } from '../problem/problem.ts';
import type { MeshRead } from '../provider/files/mesh-read.ts';
import type { Workload } from '../provider/files/workload.ts';
import { baseEnvironment } from './container-process.ts';
import { runControlServer, type ControlRequest } from './control-server.ts';
import type { ControllerProgram } from './controller-program.ts';
import type { EgressWish } from './egress-server.ts';
import type { Isolation } from './isolation.ts';
import { createKeptWorkloads } from './kept-workloads.ts';
import { keepProcess } from './kept-process.ts';
import { launcherCommand } from './launcher-handle.ts';
import { localPrograms } from './local-programs.ts';
import { planWorkload, type WorkloadPlan } from './plan-workload.ts';
import { createPodFleet } from './pod-fleet.ts';
import { podKey } from './pod-plan.ts';
import type { PodRunner } from './pod-runner.ts';
import { createPodStarter, type JoinTicket } from './pod-starter.ts';
import { markProcess } from './processes.ts';
import type { MeshRecord, RunDirectory } from './run-directory.ts';
import type { SidecarProgram } from './sidecar-program.ts';

/** What the supervisor takes of this machine; only the command line knows the process. */
export interface Machine {
  readonly env: Readonly<Record<string, string | undefined>>;
  readonly cwd: string;
  readonly uid: number;
  readonly gid: number;
  readonly pid: number;
  /** Absolute path of the Node that runs us. */
  readonly node: string;
  /** `launcher.js`. */
  readonly launcher: string;
}

export interface SupervisorOptions {
  readonly machine: Machine;
  readonly run: RunDirectory;
  readonly isolation: Isolation;
  readonly images: ReadonlyMap<string, string>;
  readonly sidecar: 'node' | 'envoy';
  readonly sidecars: ReadonlyMap<'node' | 'envoy', SidecarProgram>;
  readonly controller: ControllerProgram;
  readonly forwardLogs: boolean;
  /** Of isolated pods; those in proxy mode have the machine's own network. */
  readonly egress: EgressWish;
  /** Calls back with every read of the files, until the signal ends it. */
  readonly readFiles: (onRead: (read: MeshRead) => void, signal: AbortSignal) => Promise<void>;
  /** A token for a workload; `pod` is `namespace/name`, absent for a program that serves nothing. */
  readonly mintToken: (subject: { namespace: string; serviceAccount: string; pod?: string }) => Promise<string>;
  readonly record: Pick<MeshRecord, 'dirs' | 'config'>;
  onChange(): void;
  onNotice(text: string): void;
  onLog(source: string, stream: 'out' | 'err', line: string): void;
}

/** What is to run, by the last read of the files. */
export interface WantedPods {
  readonly workloads: number;
  /** `namespace/name` of each; those of a workload that can't run as it stands are not known. */
  readonly pods: readonly string[];
}

export interface Supervisor {
  pods(): readonly PodRunner[];
  /** Undefined until the files have been read. Pods are started after that: one that is wanted may not be in `pods` yet. */
  wanted(): WantedPods | undefined;
  /** Of running the workloads; those of the policy are the controller's. */
  problems(): readonly Problem[];
  readonly controllerRestarts: number;
  /** A place for one more program, until the signal: see `runVisitor`. */
  join(
    namespace: string,
    serviceAccount: string,
    closed: AbortSignal,
  ): Promise<{ readonly ticket: JoinTicket; readonly isReady: SidecarProgram['isReady'] }>;
  /** Ends all, in order; `kill` at once. */
  stop(): Promise<void>;
  kill(): void;
}

/** The laptop mesh: one controller, and for every pod that the files want a sidecar and its containers as processes. */
export async function startSupervisor(options: SupervisorOptions): Promise<Supervisor> {
  const { machine, run, isolation, controller } = options;
  const base = baseEnvironment(machine.env);
  const end = new AbortController();
  const plans = new WeakMap<Workload, { readonly configMaps: MeshRead['configMaps']; readonly plan: WorkloadPlan }>();
  const programs = localPrograms(machine.env['PATH'] ?? '', machine.node, options.images);
  let problems: readonly Problem[] = [];
  let latest: MeshRead | undefined;
  let wantedPods: WantedPods | undefined;
  let visits = 0;
  let unwritten: string | undefined;
  const workloads = createKeptWorkloads((owner, file) =>
    options.onNotice(`${owner} goes on as it was until ${file} can be read whole`),
  );

  const starter = createPodStarter({ ...options, base, read: () => latest });
  const fleet = createPodFleet({
    run,
    start: starter.start,
    onChange: () => {
      noteProcesses();
      options.onChange();
    },
  });

  const kept = keepProcess({
    name: 'controller',
    launcher: {
      command: launcherCommand(machine.node, machine.launcher, { hosts: [], forwardLogs: true }),
      env: base,
      cwd: machine.cwd,
    },
    spec: controller.prepare,
    onStart() {
      noteProcesses();
      attempt(writeRecord);
      if (controller.api !== told) options.onNotice(`page ${controller.api}, as the port before is taken`);
      told = controller.api;
    },
    onEnd: (message, ms) =>
      options.onNotice(`the controller ${message}; it is started again in ${ms} ms, traffic goes on`),
    onLog: (stream, line) => options.onLog('controller', stream, line),
  });

  function noteProcesses(): void {
    const pids = [...(kept?.pids() ?? []), ...fleet.pods().flatMap((pod) => pod.pids())];
    attempt(() => run.noteProcesses(pids.filter((pid) => pid > 0).map(markProcess)));
  }

  /** What can't be written is for other commands to read: the mesh goes on without. */
  function attempt(write: () => void): void {
    try {
      write();
      unwritten = undefined;
    } catch (error) {
      const { message } = error as Error;
      if (message !== unwritten) options.onNotice(`what runs is not on record for other commands: ${message}`);
      unwritten = message;
    }
  }

  function onRead(read: MeshRead): void {
    latest = read;
    const placed = read.workloads.map((workload) => {
      const { kind, namespace, name } = workload;
      return { plan: planOf(workload, read), file: read.locate({ kind, namespace, name }, '')?.file };
    });
    const wanted = workloads.next(placed, read.problems);
    problems = wanted.flatMap((plan) => plan.problems).map((problem) => withPosition(problem, read));
    wantedPods = { workloads: wanted.length, pods: wanted.flatMap(podKeysOf) };
    fleet.want(wanted);
    options.onChange();
  }

  function planOf(workload: Workload, read: MeshRead): WorkloadPlan {
    const known = plans.get(workload);
    // A program that was missing may be there now.
    if (known?.configMaps === read.configMaps && known.plan.pod) return known.plan;
    const { kind, namespace, name } = workload;
    const file = read.locate({ kind, namespace, name }, '')?.file;
    // What came over standard input has no folder of its own; its copy lies where apps can't look.
    const given = file !== undefined && !file.startsWith(run.path);
    const folder = given ? resolve(machine.cwd, dirname(file)) : machine.cwd;
    const plan = planWorkload(workload, { ...programs, configMaps: read.configMaps, folder, sidecar: options.sidecar });
    plans.set(workload, { configMaps: read.configMaps, plan });
    return plan;
  }

  async function handle(request: ControlRequest, closed: AbortSignal): Promise<unknown> {
    if (request.type === 'pods')
      return fleet.pods().map(({ plan, status, pod }) => ({
        namespace: plan.namespace,
        name: plan.name,
        owner: plan.owner,
        sidecar: plan.sidecar,
        dir: pod.dir,
        status,
      }));
    return joinMesh(request.namespace, request.serviceAccount, closed);
  }

  function joinMesh(namespace: string, serviceAccount: string, closed: AbortSignal): Promise<JoinTicket> {
    visits += 1;
    const place = fleet.place(`run-${visits}-${serviceAccount}`);
    closed.addEventListener('abort', () => fleet.leave(place), { once: true });
    return starter.join(namespace, serviceAccount, place, closed);
  }

  const startedAt = new Date().toISOString();
  let told = controller.api;
  function writeRecord(): void {
    run.writeRecord({
      ...options.record,
      isolation: isolation.kind,
      supervisorPid: machine.pid,
      supervisor: markProcess(machine.pid),
      api: controller.api,
      startedAt,
    });
  }

  writeRecord();
  const server = await runControlServer(run.file('supervisor.sock'), handle, end.signal);
  const reading = options.readFiles(onRead, end.signal);
  reading.catch((error: Error) => options.onNotice(`the files are not watched any more: ${error.message}`));

  return {
    pods: () => fleet.pods(),
    wanted: () => wantedPods,
    problems: () => [
      ...problems,
      ...fleet.problems().map((problem) => (latest ? withPosition(problem, latest) : problem)),
    ],
    get controllerRestarts() {
      return kept.restarts;
    },
    async join(namespace, serviceAccount, closed) {
      const ticket = await joinMesh(namespace, serviceAccount, closed);
      const program = options.sidecars.get(ticket.sidecar);
      if (!program) throw new Error(`no sidecar "${ticket.sidecar}"`);
      return { ticket, isReady: (pod) => program.isReady(pod) };
    },
    async stop() {
      end.abort();
      server.close();
      starter.close();
      await fleet.stop();
      await kept.stop();
      run.remove();
    },
    kill() {
      end.abort();
      fleet.kill();
      kept.kill();
      run.remove();
    },
  };
}

function podKeysOf({ pod, replicas }: WorkloadPlan): readonly string[] {
  return pod ? Array.from({ length: replicas }, (_, ordinal) => podKey(pod(ordinal))) : [];
}

function withPosition(problem: Problem, read: MeshRead): Problem {
  if (problem.position) return problem;
  const position = read.locate(problem.resource, problem.field) ?? read.locate(problem.resource, '');
  return position ? { ...problem, position } : problem;
}
