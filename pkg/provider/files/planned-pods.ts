import type { Pod, RawObject } from '../../catalog/snapshot.ts';
import { isJsonObject } from '../../smi/reader.ts';
import { isSwitchedOff } from '../objects/namespace.ts';
import { sidecarAnnotation } from '../objects/pod.ts';
import { createAddressPool, podRange } from './addresses.ts';
import type { Workload } from './workload.ts';

/** Enough to see how traffic would be shared; the number of pods changes no decision. */
const maxPlanned = 10;

export interface PodPlanner {
  /**
   * The pods that there would be if the workloads ran: ready, and with an address of their own. Pods that were written
   * with an address are taken as they are; a workload that such pods belong to already is not planned a second time.
   */
  plan(
    workloads: readonly Workload[],
    written: readonly RawObject[],
    decodePod: (raw: RawObject) => Pod,
    isMeshed: (namespace: string) => boolean,
  ): Pod[];
}

export function createPodPlanner(): PodPlanner {
  const pool = createAddressPool(podRange);
  let known = new Map<string, { workload: Workload; pod: Pod }>();

  return {
    plan(workloads, written, decodePod, isMeshed) {
      const observed = written.filter(hasAddress).map(decodePod);
      const taken = new Set(observed.map(({ namespace, name }) => `${namespace}/${name}`));
      const ownedPods = observed.filter(({ owner }) => owner !== undefined);
      const plans = workloads.flatMap((workload) => {
        if (ownedPods.some((pod) => isOf(pod, workload))) return [];
        const count = Math.min(workload.replicas, maxPlanned);
        return Array.from({ length: count }, (_, i) => ({ workload, name: podName(workload, i) })).filter(
          ({ name }) => !taken.has(`${workload.namespace}/${name}`),
        );
      });
      const keys = plans.map(({ workload, name }) => `${workload.namespace}/${workload.kind}/${name}`);
      const addresses = pool.assign(keys, new Set(observed.map(({ ip }) => ip)));

      const next = new Map<string, { workload: Workload; pod: Pod }>();
      const planned = plans.map(({ workload, name }, i) => {
        const key = keys[i] ?? '';
        const ip = addresses.get(key) ?? '';
        const meshed = isPodMeshed(workload, isMeshed(workload.namespace));
        const before = known.get(key);
        const same = before?.workload === workload && before.pod.ip === ip && before.pod.meshed === meshed;
        const pod = same ? before.pod : toPod(workload, name, ip, meshed);
        next.set(key, { workload, pod });
        return pod;
      });
      known = next;
      return [...observed, ...planned];
    },
  };
}

function hasAddress({ status }: RawObject): boolean {
  return isJsonObject(status) && typeof status['podIP'] === 'string' && status['podIP'] !== '';
}

function podName({ kind, name }: Workload, replica: number): string {
  return kind === 'Pod' ? name : `${name}-${replica}`;
}

function isOf(pod: Pod, { namespace, serviceAccount, labels }: Workload): boolean {
  if (pod.namespace !== namespace || pod.serviceAccount !== serviceAccount) return false;
  return Object.entries(labels).every(([key, value]) => pod.labels[key] === value);
}

function isPodMeshed({ annotations, hostNetwork }: Workload, namespaceIsMeshed: boolean): boolean {
  const sidecar = annotations[sidecarAnnotation];
  if (hostNetwork) return false;
  return sidecar === undefined ? namespaceIsMeshed && !isSwitchedOff(annotations) : sidecar !== 'none';
}

function toPod(workload: Workload, name: string, ip: string, meshed: boolean): Pod {
  const { kind, namespace, serviceAccount, labels, containers, serviceName } = workload;
  const hostname = workload.hostname ?? (kind === 'StatefulSet' ? name : undefined);
  const subdomain = workload.subdomain ?? serviceName;
  return {
    namespace,
    name,
    serviceAccount,
    labels,
    ip,
    ...(hostname !== undefined && { hostname }),
    ...(subdomain !== undefined && { subdomain }),
    ready: true,
    meshed,
    ports: containers.flatMap(({ ports }) => ports.map(({ name: portName, port }) => ({ name: portName, port }))),
    owner: `${namespace}/${kind}/${workload.name}`,
  };
}
