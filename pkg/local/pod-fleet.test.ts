import assert from 'node:assert/strict';
import { mkdirSync, mkdtempSync, readdirSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterEach, beforeEach, describe, it } from 'mocha';
import type { WorkloadPlan } from './plan-workload.ts';
import { createPodFleet, inboundOf, type FleetOptions, type PodFleet } from './pod-fleet.ts';
import type { PodPlan } from './pod-plan.ts';
import type { PodRunner } from './pod-runner.ts';
import { createRunDirectory, type RunDirectory } from './run-directory.ts';

describe('inboundOf', () => {
  const dir = '/run/p/web';
  const plan = (sidecar: PodPlan['sidecar']): PodPlan => ({ sidecar }) as PodPlan;

  it('is the sidecar', () => {
    assert.equal(inboundOf({ plan: plan('node'), dir, isolated: true }), 'unix:/run/p/web/in-{port}.sock');
  });

  it('is the app itself where there is no sidecar: behind its own network, or at its own address', () => {
    assert.equal(inboundOf({ plan: plan('none'), dir, isolated: true }), 'unix:/run/p/web/app-{port}.sock');
    assert.equal(inboundOf({ plan: plan('none'), dir, isolated: false }), undefined);
  });
});

describe('createPodFleet', () => {
  let base: string;
  let run: RunDirectory;
  beforeEach(() => {
    base = mkdtempSync(join(tmpdir(), 'fleet-'));
    run = createRunDirectory(base, process.getuid?.() ?? 0);
  });
  afterEach(() => rmSync(base, { recursive: true, force: true }));

  const full = (): Error => Object.assign(new Error('ENOSPC: no space left on device, write'), { code: 'ENOSPC' });

  function workload(name: string): WorkloadPlan {
    const owner = `shop/Pod/${name}`;
    const pod = (): PodPlan =>
      ({ namespace: 'shop', name, owner, revision: name, sidecar: 'none', containers: [] }) as unknown as PodPlan;
    return { owner, kind: 'Pod', replicas: 1, revision: name, problems: [], pod };
  }

  function runner(plan: PodPlan): PodRunner {
    return {
      plan,
      pod: { plan, dir: '/nowhere', isolated: true, ip: '10.244.0.2', ports: [] },
      status: {
        phase: 'Running',
        ready: true,
        stopping: false,
        ip: '10.244.0.2',
        containers: [],
        inits: [],
        sidecar: undefined,
        addresses: [],
      },
      pids: () => [],
      stop: () => Promise.resolve(),
      kill: () => undefined,
    };
  }

  /** A fleet, the next change of it, and its time. */
  function fleetOf(start: FleetOptions['start']): {
    readonly fleet: PodFleet;
    readonly until: (condition: () => boolean) => Promise<void>;
    readonly later: { readonly milliseconds: number; readonly task: () => void }[];
  } {
    const later: { readonly milliseconds: number; readonly task: () => void }[] = [];
    let changed = (): void => undefined;
    const fleet = createPodFleet({
      run,
      start,
      onChange: () => changed(),
      later: (milliseconds, task) => void later.push({ milliseconds, task }),
    });
    const until = (condition: () => boolean): Promise<void> =>
      new Promise((resolve) => {
        changed = () => condition() && resolve();
        changed();
      });
    return { fleet, until, later };
  }

  const names = (fleet: PodFleet): string[] => fleet.pods().map(({ plan }) => plan.name);

  it('tells of a pod that this machine refuses to start, gives its place back, and starts the others', async () => {
    const { fleet, until } = fleetOf((plan) =>
      plan.name === 'bad' ? Promise.reject(full()) : Promise.resolve(runner(plan)),
    );
    fleet.want([workload('bad'), workload('good')]);
    await until(() => fleet.problems().length === 1 && fleet.pods().length === 1);
    assert.deepEqual(names(fleet), ['good']);
    const [problem] = fleet.problems();
    assert.deepEqual(problem?.resource, { namespace: 'shop', kind: 'Pod', name: 'bad' });
    assert.equal(problem?.reason, 'MachineRefused');
    assert.match(problem?.message ?? '', /^pod shop\/bad: it could not be started: ENOSPC: no space left on device/);
    assert.deepEqual(readdirSync(run.file('p')), ['shop-good']);
    assert.deepEqual(readdirSync(run.file('pods')), ['shop-good.json']);
  });

  it('tries again when it is time, later each time, and tells of the problem until it is cured', async () => {
    let refusals = 2;
    const { fleet, until, later } = fleetOf((plan) => {
      refusals -= 1;
      return refusals >= 0 ? Promise.reject(full()) : Promise.resolve(runner(plan));
    });
    fleet.want([workload('web')]);
    await until(() => later.length === 1 && readdirSync(run.file('p')).length === 0);
    fleet.want([workload('web')]);
    later[0]?.task();
    await until(() => later.length === 2 && readdirSync(run.file('p')).length === 0);
    assert.equal(fleet.problems().length, 1);
    assert.deepEqual(
      later.map(({ milliseconds }) => milliseconds),
      [1_000, 2_000],
    );
    later[1]?.task();
    await until(() => fleet.pods().length === 1);
    assert.deepEqual(fleet.problems(), []);
  });

  it('tells of a pod that can have no directory, and goes on', async () => {
    const { fleet, until } = fleetOf((plan) => Promise.resolve(runner(plan)));
    writeFileSync(run.file('p', 'shop-bad'), '');
    fleet.want([workload('bad'), workload('good')]);
    await until(() => fleet.problems().length === 1 && fleet.pods().length === 1);
    assert.deepEqual(names(fleet), ['good']);
    assert.match(fleet.problems()[0]?.message ?? '', /could not be started: EEXIST/);
  });

  it('tells of a pod whose object can not be written, until it is', async () => {
    let change = (): void => undefined;
    const { fleet, until } = fleetOf((plan, _place, onChange) => {
      change = onChange;
      return Promise.resolve(runner(plan));
    });
    rmSync(run.file('pods'), { recursive: true });
    fleet.want([workload('web')]);
    await until(() => fleet.pods().length === 1 && fleet.problems().length === 1);
    assert.match(fleet.problems()[0]?.message ?? '', /what the mesh knows of it is not up to date: ENOENT/);
    mkdirSync(run.file('pods'));
    change();
    assert.deepEqual(fleet.problems(), []);
  });

  it('waits at its end for a pod that was being started, and ends it', async () => {
    let started = (): void => undefined;
    let killed = false;
    let asked = (): void => undefined;
    const wasAsked = new Promise<void>((resolve) => (asked = resolve));
    const { fleet } = fleetOf(
      (plan) =>
        new Promise((resolve) => {
          started = () => resolve({ ...runner(plan), kill: () => void (killed = true) });
          asked();
        }),
    );
    fleet.want([workload('web')]);
    await wasAsked;
    const stopped = fleet.stop();
    started();
    await stopped;
    assert.ok(killed);
  });

  it('ends where a pod that was being started can not be any more', async () => {
    let refuse = (): void => undefined;
    let asked = (): void => undefined;
    const wasAsked = new Promise<void>((resolve) => (asked = resolve));
    const { fleet } = fleetOf(
      () =>
        new Promise((_resolve, reject) => {
          refuse = () => reject(full());
          asked();
        }),
    );
    fleet.want([workload('web')]);
    await wasAsked;
    const stopped = fleet.stop();
    run.remove();
    refuse();
    await stopped;
    assert.deepEqual(fleet.problems(), []);
  });
});
