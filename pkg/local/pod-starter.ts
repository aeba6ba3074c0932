import type { Problem } from '../problem/problem.ts';
import type { MeshRead } from '../provider/files/mesh-read.ts';
import { join } from 'node:path';
import { toProcess, type ProcessContext } from './container-process.ts';
import { podCommand } from './isolation.ts';
import { openEgress } from './egress-server.ts';
import { openEntrance, type Entrance } from './entrance.ts';
import { createHoldings, type Holdings } from './holdings.ts';
import { launcherCommand } from './launcher-handle.ts';
import type { LauncherOptions, ProcessSpec } from './launcher-protocol.ts';
import type { PodPlace } from './pod-fleet.ts';
import { writeNames } from './pod-names.ts';
import { podKey, resourceOf, type ContainerPlan, type PodPlan } from './pod-plan.ts';
import { podPorts } from './pod-ports.ts';
import { runPod, type PodRunner } from './pod-runner.ts';
import { createPortBook, type PortBook } from './port-book.ts';
import { proxyVariables, serviceVariables, tcpServices } from './service-variables.ts';
import type { ProxyEntrance, SidecarPod } from './sidecar-program.ts';
import type { SupervisorOptions } from './supervisor.ts';
import { keepToken } from './token-file.ts';

export interface PodStarterOptions extends SupervisorOptions {
  readonly base: Readonly<Record<string, string>>;
  /** The last read of the files. */
  readonly read: () => MeshRead | undefined;
}

/** What `tulle run` needs to start a program as one more pod, in its own terminal. */
export interface JoinTicket {
  readonly launcher: readonly string[];
  readonly launcherEnv: Readonly<Record<string, string>>;
  readonly pod: SidecarPod;
  readonly sidecar: 'node' | 'envoy';
  readonly sidecarSpec: ProcessSpec;
  /** What the program gets beside the caller's own environment. */
  readonly env: Readonly<Record<string, string>>;
  readonly confined: boolean;
}

export interface PodStarter {
  readonly start: (plan: PodPlan, place: PodPlace, onChange: () => void) => Promise<PodRunner | Problem>;
  join(namespace: string, serviceAccount: string, place: PodPlace, closed: AbortSignal): Promise<JoinTicket>;
  close(): void;
}

export function createPodStarter(options: PodStarterOptions): PodStarter {
  const { machine, run, isolation, base } = options;
  const isolated = isolation.kind === 'isolated';
  const ports = createPortBook();
  const end = new AbortController();
  const open = new Set<{ close(): void }>();
  const noted = new Set<string>();
  const onProblem = (error: Error): void => options.onNotice(`a token could not be renewed: ${error.message}`);

  async function start(plan: PodPlan, place: PodPlace, onChange: () => void): Promise<PodRunner | Problem> {
    const own = podKey(plan);
    const held = createHoldings();
    held.add(() => ports.giveBack(own));
    try {
      const taken = await takePorts(own, plan);
      if ('reason' in taken) {
        held.release();
        return { ...taken, resource: resourceOf(plan) };
      }
      const pod: SidecarPod = {
        plan,
        ip: isolated ? place.ip : '127.0.0.1',
        isolated,
        dir: place.dir,
        ports: taken,
        ...(await entranceOf(own)),
        ...wayOutOf(plan, place),
      };
      await openWayOut(pod, held);
      const entrances = isolated ? await openEntrances(pod, held) : [];
      if (plan.sidecar !== 'none') await keepPodToken(plan, own, place, held);
      end.signal.throwIfAborted();
      return runIt(plan, place, pod, entrances, held, onChange);
    } catch (error) {
      held.release();
      throw error;
    }
  }

  async function takePorts(own: string, plan: PodPlan): ReturnType<PortBook['take']> {
    const listening = podPorts(plan, options.read()?.snapshot);
    return isolated
      ? listening.map(({ port }) => ({ port, appPort: port }))
      : await ports.take(own, plan.owner, listening);
  }

  function keepPodToken(
    { namespace, serviceAccount }: PodPlan,
    pod: string | undefined,
    { dir }: PodPlace,
    held: Holdings,
  ): Promise<void> {
    const released = new AbortController();
    held.add(() => released.abort());
    const mint = (): Promise<string> =>
      options.mintToken({ namespace, serviceAccount, ...(pod === undefined ? {} : { pod }) });
    return keepToken(join(dir, 'token'), mint, onProblem, AbortSignal.any([released.signal, end.signal]));
  }

  function runIt(
    plan: PodPlan,
    place: PodPlace,
    pod: SidecarPod,
    entrances: readonly Entrance[],
    held: Holdings,
    onChange: () => void,
  ): PodRunner {
    const context: Omit<ProcessContext, 'log'> = {
      podIp: pod.ip,
      uid: place.uid,
      base,
      services: servicesOf(plan.namespace, pod.proxy),
      proxy: pod.proxy ? proxyVariables(pod.proxy) : {},
      appPort: (port) => pod.ports.find((entry) => entry.port === port)?.appPort ?? port,
      isolated,
    };
    return runPod({
      plan,
      pod,
      addresses: isolated
        ? entrances.map(({ port, url }) => ({ port, url }))
        : pod.ports.map(({ port, appPort }) => ({ port, url: `http://127.0.0.1:${appPort}` })),
      sidecar: plan.sidecar === 'none' ? undefined : options.sidecars.get(plan.sidecar),
      launcher: () => ({ command: launcherOf(pod, options.forwardLogs), env: base, cwd: machine.cwd }),
      process: (container: ContainerPlan) =>
        toProcess(container, { ...context, log: join(place.dir, 'app.log'), ...logPrefixOf(plan, container) }),
      relays: entrances.map(({ port, socket }) => ({ port, socket })),
      onChange,
      onLog: (container, stream, line) => options.onLog(`${plan.namespace}/${plan.name} ${container}`, stream, line),
      onGone: () => held.release(),
    });
  }

  async function joinMesh(
    namespace: string,
    serviceAccount: string,
    place: PodPlace,
    closed: AbortSignal,
  ): Promise<JoinTicket> {
    const plan = visitor(namespace, serviceAccount, options.sidecar);
    const key = `run/${place.dir}`;
    const held = createHoldings();
    held.add(() => ports.giveBack(key));
    try {
      const program = options.sidecars.get(options.sidecar);
      if (!program) throw new Error(`no sidecar "${options.sidecar}" is installed`);
      const pod: SidecarPod = {
        plan,
        ip: isolated ? place.ip : '127.0.0.1',
        isolated,
        dir: place.dir,
        ports: [],
        ...(await entranceOf(key)),
        ...wayOutOf(plan, place),
      };
      await openWayOut(pod, held);
      await keepPodToken(plan, undefined, place, held);
      // Whoever asked may be gone by now; from here on nothing is waited for, so that it can't go unseen.
      closed.throwIfAborted();
      end.signal.throwIfAborted();
      writeNames(pod);
      const ticket: JoinTicket = {
        launcher: launcherOf(pod, true),
        launcherEnv: base,
        pod,
        sidecar: options.sidecar,
        sidecarSpec: program.prepare(pod),
        env: { ...servicesOf(namespace, pod.proxy), ...(pod.proxy ? proxyVariables(pod.proxy) : {}) },
        confined: isolated,
      };
      closed.addEventListener('abort', () => held.release(), { once: true });
      return ticket;
    } catch (error) {
      held.release();
      throw error;
    }
  }

  function launcherOf({ ip, dir, plan }: SidecarPod, forwardLogs: boolean): readonly string[] {
    const { uid, gid, node, launcher } = machine;
    const launcherOptions: LauncherOptions = {
      hosts: isolated ? ['127.0.0.1', ip] : ['127.0.0.1'],
      forwardLogs,
      ...(isolated ? { confine: { hide: run.base, uid, gid } } : {}),
    };
    const command = launcherCommand(node, launcher, launcherOptions);
    return isolated ? podCommand({ runBase: run.base, podDir: dir, ip, hostname: plan.hostname }, command) : command;
  }

  function noteOnce(why: string): void {
    if (noted.has(why) || noted.size >= 64) return;
    noted.add(why);
    options.onNotice(why);
  }

  /** Real Envoy knows no such socket: its pods have no way out. */
  function wayOutOf({ sidecar }: PodPlan, { dir }: PodPlace): { egressSocket?: string } {
    return isolated && options.egress.allow && sidecar === 'node' ? { egressSocket: join(dir, 'egress.sock') } : {};
  }

  async function openWayOut({ egressSocket }: SidecarPod, held: Holdings): Promise<void> {
    if (egressSocket === undefined) return;
    const server = await openEgress(egressSocket, { ...options.egress, onRefused: noteOnce });
    keepOpen(server, held);
  }

  async function openEntrances(pod: SidecarPod, held: Holdings): Promise<readonly Entrance[]> {
    const entrances: Entrance[] = [];
    for (const { port } of pod.ports) {
      const name = `${podKey(pod.plan)}:${port}`;
      const entrance = await openEntrance(name, port, join(pod.dir, `app-${port}.sock`));
      keepOpen(entrance, held);
      entrances.push(entrance);
    }
    return entrances;
  }

  /** Until its pod is gone, or all is. */
  function keepOpen(opened: { close(): void }, held: Holdings): void {
    open.add(opened);
    held.add(() => {
      open.delete(opened);
      opened.close();
    });
  }

  async function entranceOf(key: string): Promise<{ proxy?: ProxyEntrance }> {
    if (isolated) return {};
    const { snapshot } = options.read() ?? {};
    return { proxy: await ports.entrance(key, snapshot ? tcpServices(snapshot) : []) };
  }

  function servicesOf(namespace: string, proxy: ProxyEntrance | undefined): Record<string, string> {
    const { snapshot } = options.read() ?? {};
    return snapshot ? serviceVariables(snapshot, namespace, proxy) : {};
  }

  return {
    start,
    join: joinMesh,
    close() {
      end.abort();
      for (const opened of open) opened.close();
    },
  };
}

/** Who says it matters where several do. */
function logPrefixOf({ containers, inits = [] }: PodPlan, { name }: ContainerPlan): { logPrefix?: string } {
  return containers.length + inits.length > 1 ? { logPrefix: `${name} | ` } : {};
}

/** A program that a user starts by hand: no labels, so no Service leads to it. */
function visitor(namespace: string, serviceAccount: string, sidecar: 'node' | 'envoy'): PodPlan {
  return {
    namespace,
    name: `run-${serviceAccount}`,
    owner: `${namespace}/Run/${serviceAccount}`,
    labels: {},
    annotations: {},
    serviceAccount,
    hostname: `run-${serviceAccount}`,
    restart: 'Never',
    revision: '',
    graceMs: 5_000,
    sidecar,
    containers: [],
  };
}
