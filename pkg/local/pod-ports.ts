import type { MeshSnapshot } from '../catalog/snapshot.ts';
import type { PodPlan } from './pod-plan.ts';

export interface PodPort {
  readonly port: number;
  /** Its program takes the port from a variable, so it may have another one by proxy. */
  readonly movable: boolean;
}

/** The ports that a pod listens on: what its containers declare, which is only information, and where Services lead. */
export function podPorts(
  { namespace, labels, containers }: Pick<PodPlan, 'namespace' | 'labels' | 'containers'>,
  snapshot: Pick<MeshSnapshot, 'services'> | undefined,
): readonly PodPort[] {
  const found = new Map<number, PodPort>();
  for (const { ports, portEnv } of containers) {
    for (const { port } of ports) found.set(port, { port, movable: portEnv !== undefined });
  }
  for (const { namespace: home, selector = {}, ports } of snapshot?.services ?? []) {
    const wanted = Object.entries(selector);
    const selects = home === namespace && wanted.length > 0 && wanted.every(([key, value]) => labels[key] === value);
    if (!selects) continue;
    for (const { targetPort: port, protocol } of ports) {
      if (typeof port === 'number' && protocol === 'TCP' && !found.has(port)) found.set(port, { port, movable: false });
    }
  }
  return [...found.values()];
}
