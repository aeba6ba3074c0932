import type { ServicePortKey } from '../policy/outbound.ts';
import type { DirectoryEntry } from '../policy/proxy-policy.ts';
import type { Backing } from './endpoints.ts';
import { podHostnames, serviceHostnames } from './hostnames.ts';
import { createMemo, keepMap } from './memo.ts';

export type Directory = ReadonlyMap<ServicePortKey, DirectoryEntry>;

/** Every Service port of the mesh by name and address, the same for all proxies. */
export function createDirectory(): (previous: Directory | undefined, backings: readonly Backing[]) => Directory {
  const memo = createMemo<ServicePortKey, DirectoryEntry>();
  return (previous, backings) => {
    const entries = backings.map((backing): [ServicePortKey, DirectoryEntry] => {
      const { key, service, protocol } = backing;
      // Behind a cluster address pods come and go unseen.
      const inputs = [service, protocol, service.headless ? backing.endpoints : undefined];
      return [key, memo.get(key, inputs, () => toEntry(backing))];
    });
    memo.sweep();
    return keepMap(previous, new Map(entries));
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
