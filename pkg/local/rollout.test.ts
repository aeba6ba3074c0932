import assert from 'node:assert/strict';
import { describe, it } from 'mocha';
import type { WorkloadPlan } from './plan-workload.ts';
import { podKey, type PodPlan } from './pod-plan.ts';
import { planStep, type RunningPod } from './rollout.ts';

function workload(kind: WorkloadPlan['kind'], revision: string, replicas: number): WorkloadPlan {
  const name = (ordinal: number): string =>
    kind === 'StatefulSet' ? `db-${ordinal}` : kind === 'Pod' ? 'db' : `db-${revision}-${ordinal}`;
  const owner = `shop/${kind}/db`;
  const pod = (ordinal: number): PodPlan =>
    ({ namespace: 'shop', name: name(ordinal), owner, revision }) as unknown as PodPlan;
  return { owner, kind, replicas, revision, problems: [], pod };
}

function running(plan: WorkloadPlan, ordinal: number, state: Partial<RunningPod> = {}): RunningPod {
  const pod = plan.pod?.(ordinal);
  assert.ok(pod);
  const { owner, revision } = pod;
  return { key: podKey(pod), owner, revision, ready: true, stopping: false, finished: false, ...state };
}

function step(wanted: WorkloadPlan[], pods: RunningPod[]): { start: string[]; stop: string[] } {
  const { start, stop } = planStep(wanted, pods);
  return { start: start.map(({ name }) => name), stop: stop.map((key) => key.slice('shop/'.length)) };
}

describe('planStep', () => {
  const before = workload('Deployment', 'a', 2);
  const after = workload('Deployment', 'b', 2);

  it('starts what is missing and stops what nobody wants', () => {
    assert.deepEqual(step([before], []), { start: ['db-a-0', 'db-a-1'], stop: [] });
    assert.deepEqual(step([], [running(before, 0), running(before, 1, { stopping: true })]), {
      start: [],
      stop: ['db-a-0'],
    });
  });

  it('keeps the old pods of a Deployment until all the new ones are ready', () => {
    const old = [running(before, 0), running(before, 1)];
    assert.deepEqual(step([after], old), { start: ['db-b-0', 'db-b-1'], stop: [] });
    const half = [...old, running(after, 0), running(after, 1, { ready: false })];
    assert.deepEqual(step([after], half), { start: [], stop: [] });
    const whole = [...old, running(after, 0), running(after, 1)];
    assert.deepEqual(step([after], whole), { start: [], stop: ['db-a-0', 'db-a-1'] });
  });

  it('takes away an old pod at once when it serves nobody', () => {
    const pods = [running(before, 0, { ready: false }), running(before, 1)];
    assert.deepEqual(step([after], pods).stop, ['db-a-0']);
  });

  it('scales', () => {
    const pods = [running(before, 0), running(before, 1)];
    assert.deepEqual(step([{ ...before, replicas: 1 }], pods), { start: [], stop: ['db-a-1'] });
    assert.deepEqual(step([{ ...before, replicas: 3 }], pods), { start: ['db-a-2'], stop: [] });
    assert.deepEqual(step([{ ...before, replicas: 0 }], pods), { start: [], stop: ['db-a-0', 'db-a-1'] });
  });

  it('replaces the pods of a StatefulSet one by one, the last first', () => {
    const first = workload('StatefulSet', 'a', 2);
    const second = workload('StatefulSet', 'b', 2);
    assert.deepEqual(step([second], [running(first, 0), running(first, 1)]), { start: [], stop: ['db-1'] });
    assert.deepEqual(step([second], [running(first, 0), running(first, 1, { stopping: true })]), {
      start: [],
      stop: [],
    });
    assert.deepEqual(step([second], [running(first, 0)]), { start: ['db-1'], stop: [] });
    assert.deepEqual(step([second], [running(first, 0), running(second, 1, { ready: false })]), {
      start: [],
      stop: [],
    });
    assert.deepEqual(step([second], [running(first, 0), running(second, 1)]), { start: [], stop: ['db-0'] });
  });

  it('runs a Job once', () => {
    const job = workload('Job', 'a', 1);
    assert.deepEqual(step([job], [running(job, 0, { ready: false, finished: true })]), { start: [], stop: [] });
  });

  it('keeps what runs when the new manifest can not be planned', () => {
    const { owner, kind, replicas, revision, problems } = after;
    const broken = { owner, kind, replicas, revision, problems };
    assert.deepEqual(step([broken], [running(before, 0)]), { start: [], stop: [] });
  });
});
