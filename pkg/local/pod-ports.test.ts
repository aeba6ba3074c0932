import assert from 'node:assert/strict';
import { describe, it } from 'mocha';
import type { Service } from '../catalog/snapshot.ts';
import type { ContainerPlan } from './pod-plan.ts';
import { podPorts } from './pod-ports.ts';

const container = (ports: readonly number[], portEnv?: string): ContainerPlan =>
  ({
    name: 'main',
    ports: ports.map((port) => ({ name: '', port })),
    ...(portEnv && { portEnv }),
  }) as unknown as ContainerPlan;
const service = (selector: Record<string, string> | undefined, targetPort: number | string): Service => ({
  namespace: 'shop',
  name: 'web',
  clusterIPs: [],
  headless: false,
  publishNotReadyAddresses: false,
  ...(selector && { selector }),
  ports: [{ name: '', port: 80, targetPort, protocol: 'TCP' }],
});
const pod = { namespace: 'shop', labels: { app: 'web', version: 'v1' }, containers: [container([8080], 'PORT')] };

describe('podPorts', () => {
  it('are those that containers declare', () => {
    assert.deepEqual(podPorts(pod, undefined), [{ port: 8080, movable: true }]);
  });

  it('are also those that only a Service names, as in the bookstore of OSM', () => {
    const silent = { ...pod, containers: [container([])] };
    assert.deepEqual(podPorts(silent, { services: [service({ app: 'web' }, 14001)] }), [
      { port: 14001, movable: false },
    ]);
  });

  it('are no port of a Service that does not select it, that names a port, or that has none of its own', () => {
    const services = [
      service({ app: 'cart' }, 1),
      service(undefined, 2),
      service({}, 3),
      service({ app: 'web' }, 'http'),
      { ...service({ app: 'web' }, 4), namespace: 'other' },
      service({ app: 'web' }, 8080),
    ];
    assert.deepEqual(podPorts(pod, { services }), [{ port: 8080, movable: true }]);
  });
});
