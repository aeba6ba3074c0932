import type { ServicePortKey } from '../policy/outbound.ts';
import type { DirectoryEntry } from '../policy/proxy-policy.ts';

/** What a host and a port mean in the mesh. */
export type HostFound =
  | {
      readonly kind: 'service';
      readonly entry: DirectoryEntry;
      readonly podIp?: string;
    }
  /** The host is of the mesh, and the port isn't one of its ports; or there was none, and it has several. */
  | {
      readonly kind: 'port';
      readonly name: string;
      readonly ports: readonly number[];
    }
  /** Not of the mesh. */
  | { readonly kind: 'outside' };

export interface HostIndex {
  find(host: string, port: number | undefined): HostFound;
}

interface Place {
  readonly entry: DirectoryEntry;
  readonly podIp?: string;
}

/**
 * Names and addresses of the directory. An authority without a port means the Service's only port, since Go drops the
 * port from a Host that was overridden (DECISIONS L2). A bare name holds in its own namespace only.
 */
export function createHostIndex(directory: ReadonlyMap<ServicePortKey, DirectoryEntry>, namespace: string): HostIndex {
  const places = new Map<string, Place[]>();
  const add = (host: string, place: Place): void => {
    const list = places.get(host);
    if (list) list.push(place);
    else places.set(host, [place]);
  };
  for (const entry of directory.values()) {
    for (const host of namesOf(entry, namespace)) add(host, { entry });
    for (const host of entry.addresses) add(host, { entry });
    for (const { ip, hostnames } of entry.pods ?? []) {
      add(ip, { entry, podIp: ip });
      for (const host of hostnames)
        if (isNameHere(host, 3, entry, namespace)) add(host.toLowerCase(), { entry, podIp: ip });
    }
  }

  return {
    find(host, port) {
      const found = places.get(host.toLowerCase().replace(/\.$/, ''));
      const [first] = found ?? [];
      if (!found || !first) return { kind: 'outside' };
      const candidates = port === undefined ? found : found.filter(({ entry }) => entry.port === port);
      const fit = candidates.length === 1 ? candidates[0] : candidates.find(({ entry }) => entry.port === (port ?? 80));
      if (fit)
        return {
          kind: 'service',
          entry: fit.entry,
          ...(fit.podIp === undefined ? {} : { podIp: fit.podIp }),
        };
      return {
        kind: 'port',
        name: `${first.entry.namespace}/${first.entry.name}`,
        ports: [...new Set(found.map(({ entry }) => entry.port))].sort((a, b) => a - b),
      };
    },
  };
}

/** All names by which a Service is known to an app of `namespace`, lower case. */
export function namesOf(entry: DirectoryEntry, namespace: string): string[] {
  const names = entry.hostnames
    .map((name) => name.toLowerCase())
    .filter((name) => isNameHere(name, 2, entry, namespace));
  const bare = entry.name.toLowerCase();
  if (entry.namespace === namespace && !names.includes(bare)) names.push(bare);
  return names;
}

/** A Service's name of one label (`cart`), or a pod's of two (`mysql-0.mysql`), is of its own namespace. */
function isNameHere(name: string, labels: number, { namespace: own }: DirectoryEntry, namespace: string): boolean {
  return own === namespace || name.split('.').length >= labels;
}

/** `host`, `host:80`, `[::1]:80`; undefined for what is neither. */
export function decodeAuthority(authority: string): { host: string; port: number | undefined } | undefined {
  const [, bracketed, plain, digits] =
    /^(?:\[([0-9A-Fa-f:.]+)\]|([^:[\]/?#@\s]+))(?::([0-9]{1,5}))?$/.exec(authority) ?? [];
  const host = bracketed ?? plain;
  if (host === undefined) return undefined;
  const port = digits === undefined ? undefined : Number(digits);
  return port === undefined || (port > 0 && port < 65536) ? { host, port } : undefined;
}
