import type { Endpoint } from '../policy/endpoints.ts';
import type { ServicePortKey } from '../policy/outbound.ts';
import type { SidecarConfig } from './config.ts';
import type { DataPlane } from './data-plane.ts';
import { toHosts, writeHosts } from './hosts-file.ts';
import { toProxyTargets, toRedirectTargets } from './outbound-listener.ts';
import type { OutboundTarget } from './outbound-listener.ts';
import type { PolicyStore } from './policy-store.ts';
import { createRedirect } from './redirect.ts';
import type { OutsidePorts } from './redirect.ts';

export interface InterceptionOptions {
  readonly config: SidecarConfig;
  readonly store: PolicyStore;
  readonly data: DataPlane;
  readonly onError: (what: string, error: Error) => void;
  /** Ports for what isn't of the mesh, once they are open; absent: there are none. */
  readonly outside?: () => Promise<OutsidePorts>;
}

/** Keeps sockets, ports, rules and names in step with the policy. */
export interface Interception {
  /** Why traffic isn't taken yet; undefined when it is. */
  notReady(): string | undefined;
  /** Names of the mesh, in the form of hosts(5). */
  readonly hosts: string;
}

/** Work follows the policy as it is when work begins: what changes meanwhile is taken in one more turn (DECISIONS E7a). */
export function createInterception(options: InterceptionOptions): Interception {
  const { config, store, data, onError } = options;
  const { outbound } = config;
  const tool = outbound.kind === 'redirect' ? outbound.redirect : 'none';
  let outside: OutsidePorts | undefined;
  const redirect = createRedirect(tool, undefined, () => outside);
  let wanted = 0;
  let done = 0;
  let failure: string | undefined;
  let working = false;
  let hosts = '';
  let ports: string | undefined;

  async function turn(): Promise<void> {
    await data.inboundServer?.sync(store.inbound?.ports ?? []);
    await data.listeners.sync(toTargets(config, store));
    const listeners = data.listeners.list();
    const nextPorts = listeners.map(({ address, port }) => `${address} ${port}`).join();
    outside ??= await options.outside?.();
    if (nextPorts !== ports && outbound.kind === 'redirect') await redirect.apply(listeners);
    ports = nextPorts;
    if (outbound.kind !== 'redirect' || outbound.hostsFile === undefined) return;
    const [namespace = ''] = config.pod.split('/');
    const nextHosts = toHosts(store.directory.values(), namespace, outbound.self, (key, ip) =>
      isPodReady(store, key, ip),
    );
    if (nextHosts !== hosts) await writeHosts(outbound.hostsFile, nextHosts);
    hosts = nextHosts;
  }

  async function work(): Promise<void> {
    working = true;
    while (done !== wanted) {
      const goal = wanted;
      try {
        await turn();
        failure = undefined;
      } catch (error) {
        failure = error instanceof Error ? error.message : String(error);
        onError('interception', error as Error);
      }
      done = goal;
    }
    working = false;
  }

  store.subscribe((part) => {
    data.refresh();
    if (part === 'settings' || part === 'outbound' || !store.ready) return;
    wanted += 1;
    if (!working) void work();
  });

  return {
    get hosts() {
      return hosts;
    },
    notReady() {
      if (done === 0 || done !== wanted) return 'opening ports';
      return failure;
    },
  };
}

function toTargets({ outbound }: SidecarConfig, store: PolicyStore): OutboundTarget[] {
  if (outbound.kind === 'proxy') return toProxyTargets(store.directory.values());
  return toRedirectTargets(store.directory.values(), (key, podIp) => [
    ...new Set(podEndpoints(store, key, podIp).map(({ port }) => port)),
  ]);
}

/** A pod that this workload can't see the state of counts as ready: the answer is a denial, and not a name that is unknown. */
function isPodReady(store: PolicyStore, key: ServicePortKey, podIp: string): boolean {
  const endpoints = podEndpoints(store, key, podIp);
  return endpoints.length === 0 || endpoints.some(({ ready }) => ready);
}

function podEndpoints({ outbound, endpoints }: PolicyStore, key: ServicePortKey, podIp: string): Endpoint[] {
  const sets = outbound.get(key)?.routes.flatMap(({ backends }) => backends) ?? [];
  return sets.flatMap((set) => endpoints.get(set.endpoints)?.endpoints.filter(({ ip }) => ip === podIp) ?? []);
}
