import type { ServicePortKey } from '../policy/outbound.ts';
import type { DirectoryEntry } from '../policy/proxy-policy.ts';
import type { Backing } from './endpoints.ts';
import { podHostnames, serviceHostnames } from './hostnames.ts';
import { createIndex, createListMap } from './lists.ts';
import { sameContent } from './memo.ts';

export type Directory = ReadonlyMap<ServicePortKey, DirectoryEntry>;

/** Every Service port of the mesh by name and address, the same for all proxies. */
export function createDirectory(): (backings: readonly Backing[]) => Directory {
  let latest: ReadonlyMap<ServicePortKey, DirectoryEntry> = new Map();
  const entriesOf = createListMap((backing: Backing): DirectoryEntry => {
    const entry = toEntry(backing);
    // Behind a cluster address pods come and go unseen.
    const before = latest.get(backing.key);
    return before && sameContent(before, entry) ? before : entry;
  });
  const index = createIndex(({ key }: DirectoryEntry) => key);
  return (backings) => {
    const entries = entriesOf(backings);
    latest = index(entries);
    return latest;
  };
}

function toEntry({ key, service, port, protocol, endpoints }: Backing): DirectoryEntry {
  const { namespace, name, headless, clusterIPs } = service;
  const pods = endpoints.endpoints.flatMap(({ ip, hostname, port: own }) =>
    ip === undefined
      ? []
      : [
          {
            ip,
            hostnames: hostname === undefined ? [] : podHostnames(namespace, name, hostname),
            ...(own === port ? {} : { port: own }),
          },
        ],
  );
  return {
    key,
    namespace,
    name,
    port,
    protocol,
    addresses: headless ? [] : clusterIPs,
    hostnames: serviceHostnames(namespace, name),
    ...(headless && { pods }),
  };
}
