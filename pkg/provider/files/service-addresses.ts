import type { Service } from '../../catalog/snapshot.ts';
import { createAddressPool, serviceRange } from './addresses.ts';

export interface AddressConflict {
  readonly namespace: string;
  readonly name: string;
  readonly message: string;
  readonly fix: string;
}

export interface ServiceAddresses {
  assign(services: readonly Service[]): { services: Service[]; conflicts: AddressConflict[] };
}

/** Gives a virtual address to each Service that needs one and has none. The same Service object while nothing changes. */
export function createServiceAddresses(): ServiceAddresses {
  const pool = createAddressPool(serviceRange);
  let known = new Map<Service, Service>();

  return {
    assign(services) {
      const owners = new Map<string, Service>();
      const conflicts: AddressConflict[] = [];
      const needy: Service[] = [];
      for (const service of services) {
        const [other] = service.clusterIPs.flatMap((ip) => owners.get(ip) ?? []);
        if (other) {
          const { namespace, name } = service;
          const message = `the address is that of Service ${other.namespace}/${other.name} already; another is taken`;
          conflicts.push({ namespace, name, message, fix: 'leave clusterIP out' });
        } else {
          for (const ip of service.clusterIPs) owners.set(ip, service);
        }
        const needsOne = !service.headless && service.externalName === undefined;
        if (needsOne && (other !== undefined || service.clusterIPs.length === 0)) needy.push(service);
      }
      const assigned = pool.assign(needy.map(keyOf), new Set(owners.keys()));
      const next = new Map<Service, Service>();
      for (const service of needy) {
        const ip = assigned.get(keyOf(service));
        const before = known.get(service);
        const clusterIPs = ip === undefined ? [] : [ip];
        next.set(service, before?.clusterIPs[0] === ip && before ? before : { ...service, clusterIPs });
      }
      known = next;
      return { services: services.map((service) => next.get(service) ?? service), conflicts };
    },
  };
}

function keyOf({ namespace, name }: Service): string {
  return `${namespace}/${name}`;
}
