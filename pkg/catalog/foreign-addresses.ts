import type { Problem } from '../problem/problem.ts';
import { toPlainAddress } from './address.ts';
import { createGroups } from './lists.ts';
import { keepMap } from './memo.ts';
import { compareText } from './order.ts';
import type { EndpointSlice, Service } from './snapshot.ts';
import { hasAddress, type Workloads } from './workloads.ts';

/** An address that a slice names, and that is not for its namespace to give away. */
export interface ForeignAddress {
  /** As the slice has it. */
  readonly ip: string;
  /** Whose it is, for people. */
  readonly owner: string;
}

export interface Foreign {
  /** What these slices, of one Service, name of others. Costs what they name. */
  among(slices: readonly EndpointSlice[]): readonly ForeignAddress[];
}

const none: readonly ForeignAddress[] = [];

/**
 * Who may write slices in one namespace must not take the addresses of another into a Service of theirs: clients would
 * meet what they dial there without TLS, as that Service. Addresses of Services, and of pods of other namespaces, count;
 * those of nodes don't, for `default/kubernetes` is made of them. The same object while no answer can differ.
 */
export function createForeign(): (services: readonly Service[], workloads: Workloads) => Foreign {
  const groupByAddress = createGroups<Service, string, string>(
    ({ namespace, name, clusterIPs }) => clusterIPs.map((ip) => [toPlainAddress(ip), `Service ${namespace}/${name}`]),
    compareText,
  );
  let byAddress: ReadonlyMap<string, readonly string[]> = new Map();
  let before: { readonly workloads: Workloads; readonly foreign: Foreign } | undefined;

  return (services, workloads) => {
    const next = keepMap(byAddress, groupByAddress(services));
    if (before?.workloads === workloads && next === byAddress) return before.foreign;
    byAddress = next;
    const ownerOf = (namespace: string, ip: string): string | undefined => {
      const plain = toPlainAddress(ip);
      const [service] = next.get(plain) ?? [];
      if (service !== undefined) return service;
      // Where pods have no addresses of their own, on a laptop, this is any program's.
      if (plain.startsWith('127.')) return undefined;
      const pods = workloads.atPlainAddress(plain).filter(({ pod }) => pod.hostNetwork !== true);
      const isOwn = pods.length === 0 || pods.some(({ pod }) => pod.namespace === namespace);
      return isOwn ? undefined : `a pod in namespace "${pods[0]?.pod.namespace}"`;
    };
    const among = (slices: readonly EndpointSlice[]): readonly ForeignAddress[] => {
      const found = new Map<string, ForeignAddress>();
      for (const { namespace, endpoints } of slices) {
        for (const { pod, addresses } of endpoints) {
          // Who is led to a pod meets it at the address that it tells itself.
          const named = pod === undefined ? undefined : workloads.byKey.get(`${namespace}/${pod}`);
          if (named && hasAddress(named.pod)) continue;
          for (const ip of addresses) {
            const owner = ownerOf(namespace, ip);
            if (owner !== undefined) found.set(ip, { ip, owner });
          }
        }
      }
      return found.size === 0 ? none : [...found.values()].sort((a, b) => compareText(a.ip, b.ip));
    };
    const foreign = { among };
    before = { workloads, foreign };
    return foreign;
  };
}

export function reportForeign({ namespace, name }: Service, refused: readonly ForeignAddress[]): Problem {
  const named = refused.slice(0, 3).map(({ ip, owner }) => `${ip} is that of ${owner}`);
  const more = refused.length > 3 ? `, and ${refused.length - 3} more are others'` : '';
  return {
    resource: { apiVersion: 'v1', kind: 'Service', namespace, name },
    field: '/metadata/name',
    severity: 'error',
    reason: 'EndpointForeign',
    message: `of the addresses in its EndpointSlices ${named.join(', ')}${more}: nobody is led there`,
    fix: 'call the Service that the address belongs to by its own name, and take the address out of the slices',
  };
}
