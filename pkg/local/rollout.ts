import { podKey, type PodPlan } from './pod-plan.ts';
import type { WorkloadPlan } from './plan-workload.ts';

/** A pod that exists, as far as the next step depends on it. */
export interface RunningPod {
  readonly key: string;
  readonly owner: string;
  readonly revision: string;
  readonly ready: boolean;
  readonly stopping: boolean;
  readonly finished: boolean;
}

export interface RolloutStep {
  readonly start: readonly PodPlan[];
  readonly stop: readonly string[];
}

/**
 * What to do next so that what runs becomes what is wanted; asked again after every change. A Deployment's new pods are
 * ready before the old ones go, so that a bad change takes nothing down; pods with names of their own (StatefulSet, Pod) are
 * replaced one after the other, as their kind demands.
 */
export function planStep(wanted: readonly WorkloadPlan[], running: readonly RunningPod[]): RolloutStep {
  const start: PodPlan[] = [];
  const stop: string[] = [];
  const byOwner = groupByOwner(running);
  for (const workload of wanted) {
    const mine = byOwner.get(workload.owner) ?? [];
    byOwner.delete(workload.owner);
    const { pod } = workload;
    // What can't be planned keeps what runs: the problem is told, and the next edit may cure it.
    if (!pod) continue;
    const plans = Array.from({ length: workload.replicas }, (_, ordinal) => pod(ordinal));
    const step = hasOwnNames(workload) ? replaceByName(plans, mine) : replaceByRevision(workload, plans, mine);
    start.push(...step.start);
    stop.push(...step.stop);
  }
  for (const orphans of byOwner.values())
    stop.push(...orphans.filter(({ stopping }) => !stopping).map(({ key }) => key));
  return { start, stop };
}

function groupByOwner(pods: readonly RunningPod[]): Map<string, RunningPod[]> {
  const groups = new Map<string, RunningPod[]>();
  for (const pod of pods) {
    const group = groups.get(pod.owner);
    if (group) group.push(pod);
    else groups.set(pod.owner, [pod]);
  }
  return groups;
}

function hasOwnNames({ kind }: WorkloadPlan): boolean {
  return kind === 'StatefulSet' || kind === 'Pod';
}

function replaceByRevision(
  workload: WorkloadPlan,
  plans: readonly PodPlan[],
  mine: readonly RunningPod[],
): RolloutStep {
  const wanted = new Set(plans.map(podKey));
  const existing = new Map(mine.map((pod) => [pod.key, pod]));
  const start = plans.filter((plan) => !existing.has(podKey(plan)));
  const allReady = plans.every((plan) => existing.get(podKey(plan))?.ready === true);
  const stop = mine
    .filter(({ key, stopping }) => !stopping && !wanted.has(key))
    .filter(
      ({ revision, ready, finished }) =>
        revision === workload.revision || allReady || !ready || finished || workload.kind === 'Job',
    )
    .map(({ key }) => key);
  return { start, stop };
}

function replaceByName(plans: readonly PodPlan[], mine: readonly RunningPod[]): RolloutStep {
  const existing = new Map(mine.map((pod) => [pod.key, pod]));
  const wanted = new Map(plans.map((plan) => [podKey(plan), plan]));
  const start = plans.filter((plan) => !existing.has(podKey(plan)));
  const surplus = mine.filter(({ key, stopping }) => !stopping && !wanted.has(key));
  const outdated = mine.filter(
    ({ key, stopping, revision }) => !stopping && wanted.has(key) && wanted.get(key)?.revision !== revision,
  );
  const broken = outdated.filter(({ ready }) => !ready);
  const settled = start.length === 0 && mine.every((pod) => outdated.includes(pod) || (pod.ready && !pod.stopping));
  const next = broken.length > 0 ? broken : settled ? outdated.slice(-1) : [];
  return { start, stop: [...surplus, ...next].map(({ key }) => key) };
}
