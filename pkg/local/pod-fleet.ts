import { randomUUID } from 'node:crypto';
import { mkdirSync, rmSync } from 'node:fs';
import type { Problem } from '../problem/problem.ts';
import { createAddressPool } from './address-pool.ts';
import { createBackoff, type Backoff } from './backoff.ts';
import type { WorkloadPlan } from './plan-workload.ts';
import { podKey, resourceOf, type PodPlan } from './pod-plan.ts';
import type { PodRunner } from './pod-runner.ts';
import { toPodObject } from './pod-status.ts';
import { planStep } from './rollout.ts';
import { writeAtomically, type RunDirectory } from './run-directory.ts';
import type { SidecarPod } from './sidecar-program.ts';

/** A place for one more pod: what it has of this machine. */
export interface PodPlace {
  readonly ip: string;
  readonly dir: string;
  readonly uid: string;
}

export interface FleetOptions {
  readonly run: RunDirectory;
  /** Starts a pod, or says what of the user's keeps it from being started; rejects for what may pass, as a full disk. */
  readonly start: (plan: PodPlan, place: PodPlace, onChange: () => void) => Promise<PodRunner | Problem>;
  readonly onChange: () => void;
  /** Tests have a time of their own. */
  readonly later?: (milliseconds: number, task: () => void) => void;
}

export interface PodFleet {
  /** What is to run from now on. */
  want(workloads: readonly WorkloadPlan[]): void;
  pods(): readonly PodRunner[];
  /** Of starting them, and of telling the mesh of them. */
  problems(): readonly Problem[];
  place(name: string): PodPlace;
  leave(place: PodPlace): void;
  stop(): Promise<void>;
  kill(): void;
}

interface Slot {
  readonly plan: PodPlan;
  readonly place: PodPlace;
  runner?: PodRunner;
  stopping: boolean;
  /** Its object could not be written. */
  problem?: Problem;
}

/** A pod that is not started again until it is another one, or until it is due. */
interface FailedStart {
  readonly revision: string;
  readonly problem: Problem;
  readonly backoff: Backoff;
  due: boolean;
}

/** Keeps the pods that run the ones that are wanted, and their objects in the run directory true. */
export function createPodFleet({ run, start, onChange, later = afterwards }: FleetOptions): PodFleet {
  const slots = new Map<string, Slot>();
  const starting = new Set<Promise<void>>();
  const failed = new Map<string, FailedStart>();
  const addresses = createAddressPool();
  let wanted: readonly WorkloadPlan[] = [];
  let ended = false;
  let stepping = false;

  function place(name: string): PodPlace {
    const dir = run.file('p', shortName(name));
    mkdirSync(dir, { recursive: true, mode: 0o700 });
    return { ip: addresses.take(), dir, uid: randomUUID() };
  }

  function leave({ ip, dir }: PodPlace): void {
    addresses.giveBack(ip);
    try {
      rmSync(dir, { recursive: true, force: true, maxRetries: 3 });
    } catch {
      // It goes with the run directory.
    }
  }

  function podFile({ namespace, name }: PodPlan): string {
    return run.file('pods', `${shortName(`${namespace}-${name}`)}.json`);
  }

  function publish(slot: Slot): void {
    const { plan, runner, stopping } = slot;
    if (ended || !runner) return;
    delete slot.problem;
    try {
      if (stopping) rmSync(podFile(plan), { force: true });
      else writeAtomically(podFile(plan), JSON.stringify(toPodObject(plan, runner.status, inboundOf(runner.pod))));
    } catch (error) {
      slot.problem = toProblem(plan, 'what the mesh knows of it is not up to date', error);
    }
  }

  /** One step after each change; changes that come while one is taken are seen by the next. */
  function step(): void {
    if (ended || stepping) return;
    stepping = true;
    queueMicrotask(() => {
      stepping = false;
      if (ended) return;
      const running = [...slots].map(([key, { plan, runner, stopping }]) => ({
        key,
        owner: plan.owner,
        revision: plan.revision,
        ready: runner?.status.ready ?? false,
        stopping,
        finished: runner?.status.phase === 'Succeeded' || runner?.status.phase === 'Failed',
      }));
      const next = planStep(wanted, running);
      for (const key of next.stop) stopPod(key);
      for (const plan of next.start) startPod(plan);
    });
  }

  function startPod(plan: PodPlan): void {
    const key = podKey(plan);
    const before = failed.get(key);
    if (before?.revision === plan.revision && !before.due) return;
    const fail = (error: unknown): void => {
      if (ended) return;
      const problem = toProblem(plan, 'it could not be started', error);
      const backoff = before?.backoff ?? createBackoff(1_000);
      const entry: FailedStart = { revision: plan.revision, problem, backoff, due: false };
      failed.set(key, entry);
      later(backoff.next(), () => {
        entry.due = true;
        step();
      });
    };
    let slot: Slot;
    try {
      slot = { plan, place: place(`${plan.namespace}-${plan.name}`), stopping: false };
    } catch (error) {
      fail(error);
      return onChange();
    }
    slots.set(key, slot);
    const attempt = runSlot(key, slot).catch((error: unknown) => {
      fail(error);
      release(key, slot);
    });
    starting.add(attempt);
    void attempt.finally(() => starting.delete(attempt));
  }

  /** Until the pod runs, or has been ended because nobody wants it any more. */
  async function runSlot(key: string, slot: Slot): Promise<void> {
    const { plan, place } = slot;
    const changed = (): void => {
      publish(slot);
      onChange();
      step();
    };
    const result = await start(plan, place, changed);
    if ('reason' in result) {
      failed.set(key, { revision: plan.revision, problem: result, backoff: createBackoff(), due: false });
      return release(key, slot);
    }
    failed.delete(key);
    slot.runner = result;
    if (ended) result.kill();
    else if (slot.stopping) endRunner(key, slot, result);
    changed();
  }

  function stopPod(key: string): void {
    const slot = slots.get(key);
    if (!slot || slot.stopping) return;
    slot.stopping = true;
    publish(slot);
    if (slot.runner) endRunner(key, slot, slot.runner);
  }

  function endRunner(key: string, slot: Slot, runner: PodRunner): void {
    const gone = (): void => release(key, slot);
    runner.stop({ drain: true }).then(gone, () => {
      runner.kill();
      gone();
    });
  }

  function release(key: string, slot: Slot): void {
    if (slots.get(key) === slot) slots.delete(key);
    slot.stopping = true;
    publish(slot);
    leave(slot.place);
    onChange();
    step();
  }

  return {
    want(workloads) {
      wanted = workloads;
      const revisions = new Set(workloads.map(({ revision }) => revision));
      for (const [key, { revision }] of failed) if (!revisions.has(revision)) failed.delete(key);
      step();
    },
    pods: () => [...slots.values()].flatMap(({ runner }) => runner ?? []),
    problems: () => [
      ...[...failed.values()].map(({ problem }) => problem),
      ...[...slots.values()].flatMap(({ problem }) => problem ?? []),
    ],
    place,
    leave,
    async stop() {
      ended = true;
      const stops = [...slots.values()].map(({ runner }) => runner?.stop({ drain: false }).catch(() => runner.kill()));
      await Promise.all([...stops, ...starting]);
    },
    kill() {
      ended = true;
      for (const { runner } of slots.values()) runner?.kill();
    },
  };
}

function afterwards(milliseconds: number, task: () => void): void {
  setTimeout(task, milliseconds).unref();
}

function toProblem(plan: PodPlan, what: string, error: unknown): Problem {
  return {
    resource: resourceOf(plan),
    field: '',
    severity: 'error',
    reason: 'MachineRefused',
    message: `pod ${podKey(plan)}: ${what}: ${error instanceof Error ? error.message : String(error)}`,
    fix: 'cure that (a full disk, too many processes or open files); it is tried again by and by',
  };
}

/** Paths of unix sockets are short: a long name keeps its start and gets a number of its own. */
function shortName(name: string): string {
  if (name.length <= 40) return name;
  let hash = 5381;
  for (let i = 0; i < name.length; i += 1) hash = (hash * 33 + name.charCodeAt(i)) >>> 0;
  return `${name.slice(0, 32)}-${hash.toString(36)}`;
}

/** Where others reach a pod: at its sidecar. One without is met behind its own network by what a browser opens too. */
export function inboundOf({ plan, dir, isolated }: Pick<SidecarPod, 'plan' | 'dir' | 'isolated'>): string | undefined {
  if (plan.sidecar !== 'none') return `unix:${dir}/in-{port}.sock`;
  return isolated ? `unix:${dir}/app-{port}.sock` : undefined;
}
