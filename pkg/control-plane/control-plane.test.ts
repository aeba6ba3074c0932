import assert from 'node:assert/strict';
import { pod, service, snapshotOf } from '../../test/support/snapshot.ts';
import { createMeshBuilder } from '../catalog/build-mesh.ts';
import { openAuthority } from '../certs/authority.ts';
import { systemClock } from '../certs/clock.ts';
import { createMemoryStore } from '../certs/file-store.ts';
import { openLeafCertificates } from '../certs/leaf-certificates.ts';
import { toLeafNames } from '../certs/workload-names.ts';
import { createLogger } from '../observability/logger.ts';
import { Metrics } from '../observability/metrics.ts';
import type { Problem } from '../problem/problem.ts';
import { type ControlPlane, createControlPlane } from './control-plane.ts';

const nextTurn = (): Promise<void> => new Promise((resolve) => setImmediate(resolve));

const problem: Problem = {
  severity: 'warning',
  reason: 'BackendNotFound',
  resource: { kind: 'TrafficSplit', namespace: 'n', name: 's' },
  field: '/spec/backends/0/service',
  message: 'no Service "v2" in namespace "n"',
  fix: 'create it',
};

describe('the control plane', () => {
  const mesh = snapshotOf({ pods: [pod('n', 'a')], services: [service('n', 'a')] });
  let controlPlane: ControlPlane;
  let metrics: Metrics;
  let lines: string[];
  let found: readonly Problem[];
  let breaks: 'find' | 'tell' | undefined;

  beforeEach(async () => {
    [metrics, lines, found, breaks] = [new Metrics(), [], [problem], undefined];
    const authority = await openAuthority({ store: createMemoryStore(), clock: systemClock, name: 'cluster.local' });
    const leaves = await openLeafCertificates({
      authority,
      clock: systemClock,
      random: () => 0.5,
      lifetime: 3_600_000,
      namesOf: toLeafNames,
      onError: (error) => assert.fail(String(error)),
    });
    const builder = createMeshBuilder();
    controlPlane = createControlPlane({
      id: 'test',
      mesh: mesh.config,
      isolation: 'isolated',
      inputs: [],
      authority,
      leaves,
      build: (snapshot) => ({
        value: builder.build(snapshot).value,
        get problems() {
          if (breaks === 'find') throw new Error('what is wrong with it?');
          return found;
        },
      }),
      loadEncoder: () => assert.fail('there is no Envoy here'),
      log: createLogger({ level: 'error', component: 'test', write: (line) => lines.push(line) }),
      metrics,
      onProblems() {
        if (breaks === 'tell') throw new Error('nobody listens');
      },
    });
    controlPlane.apply({ snapshot: mesh, problems: [] });
    await nextTurn();
  });

  afterEach(() => controlPlane.close());

  const services = (): string[] => controlPlane.view.state().services.map(({ name }) => name);
  const grown = { ...mesh, services: [...mesh.services, service('n', 'b')] };

  it('serves on, shows the mesh and keeps the problems when those of a mesh cannot be found', async () => {
    let changes = 0;
    controlPlane.view.subscribe(() => changes++);
    assert.deepEqual(controlPlane.view.state().problems, [problem]);
    breaks = 'find';
    controlPlane.apply({ snapshot: grown, problems: [] });
    await nextTurn();
    assert.equal(changes, 1);
    assert.deepEqual(services(), ['a', 'b']);
    assert.deepEqual(controlPlane.view.state().problems, [problem]);
    assert.match(metrics.render(), /tulle_build_failures_total 1\n/);
    assert.match(lines.join(''), /could not be found.*what is wrong with it/);

    [breaks, found] = [undefined, []];
    controlPlane.apply({ snapshot: mesh, problems: [] });
    await nextTurn();
    assert.deepEqual(controlPlane.view.state().problems, []);
    assert.match(metrics.render(), /tulle_build_failures_total 1\n/);
  });

  it('does not throw at who asks first', () => {
    breaks = 'find';
    controlPlane.apply({ snapshot: grown, problems: [] });
    assert.match(metrics.render(), /tulle_problems\{severity="warning"\} 1\n/);
    controlPlane.apply({ snapshot: mesh, problems: [] });
    assert.deepEqual(services(), ['a']);
  });

  it('outlives where problems cannot be told, or placed', async () => {
    breaks = 'tell';
    controlPlane.apply({ snapshot: grown, problems: [] });
    await nextTurn();
    breaks = undefined;
    const locate = (): never => assert.fail('where?');
    controlPlane.apply({ snapshot: mesh, problems: [], locate });
    await nextTurn();
    assert.match(metrics.render(), /tulle_build_failures_total 2\n/);
    assert.deepEqual(controlPlane.view.state().problems, [problem]);
  });
});
