import { randomUUID } from 'node:crypto';
import { mkdirSync, rmSync } from 'node:fs';
import type { Problem } from '../problem/problem.ts';
import { createAddressPool } from './address-pool.ts';
import type { WorkloadPlan } from './plan-workload.ts';
import { podKey, type PodPlan } from './pod-plan.ts';
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
  /** Starts a pod; undefined: it can't be, as the problem that was reported says. */
  readonly start: (plan: PodPlan, place: PodPlace, onChange: () => void) => Promise<PodRunner | Problem>;
  readonly onChange: () => void;
}

export interface PodFleet {
  /** What is to run from now on. */
  want(workloads: readonly WorkloadPlan[]): void;
  pods(): readonly PodRunner[];
  /** Of starting. */
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
}

/** Keeps the pods that run the ones that are wanted, and their objects in the run directory true. */
export function createPodFleet({ run, start, onChange }: FleetOptions): PodFleet {
  const slots = new Map<string, Slot>();
  const failed = new Map<string, { readonly revision: string; readonly problem: Problem }>();
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
    rmSync(dir, { recursive: true, force: true, maxRetries: 3 });
  }

  function podFile({ namespace, name }: PodPlan): string {
    return run.file('pods', `${shortName(`${namespace}-${name}`)}.json`);
  }

  function publish({ plan, runner, stopping }: Slot): void {
    if (ended || !runner) return;
    if (stopping) {
      rmSync(podFile(plan), { force: true });
      return;
    }
    writeAtomically(podFile(plan), JSON.stringify(toPodObject(plan, runner.status, inboundOf(runner.pod))));
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
    if (failed.get(key)?.revision === plan.revision) return;
    failed.delete(key);
    const slot: Slot = { plan, place: place(`${plan.namespace}-${plan.name}`), stopping: false };
    slots.set(key, slot);
    const changed = (): void => {
      publish(slot);
      onChange();
      step();
    };
    void start(plan, slot.place, changed).then((result) => {
      if ('reason' in result) {
        failed.set(key, { revision: plan.revision, problem: result });
        release(key, slot);
        return;
      }
      slot.runner = result;
      if (ended) result.kill();
      else if (slot.stopping) void result.stop({ drain: true }).then(() => release(key, slot));
      changed();
    });
  }

  function stopPod(key: string): void {
    const slot = slots.get(key);
    if (!slot || slot.stopping) return;
    slot.stopping = true;
    publish(slot);
    if (slot.runner) void slot.runner.stop({ drain: true }).then(() => release(key, slot));
  }

  function release(key: string, slot: Slot): void {
    if (slots.get(key) === slot) slots.delete(key);
    rmSync(podFile(slot.plan), { force: true });
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
    problems: () => [...failed.values()].map(({ problem }) => problem),
    place,
    leave,
    async stop() {
      ended = true;
      await Promise.all([...slots.values()].flatMap(({ runner }) => (runner ? [runner.stop({ drain: false })] : [])));
    },
    kill() {
      ended = true;
      for (const { runner } of slots.values()) runner?.kill();
    },
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
