import type { Endpoint, EndpointSet } from '../../pkg/policy/endpoints.ts';
import type { AppProtocol } from '../../pkg/policy/inbound.ts';
import type { OutboundService } from '../../pkg/policy/outbound.ts';
import type { DirectoryEntry, ProxyPolicy } from '../../pkg/policy/proxy-policy.ts';

/** Puts a policy on this machine: its addresses are replaced by some of the loopback that nobody else has. */
export interface Loopback {
  toPolicy(policy: ProxyPolicy): ProxyPolicy;
  /** Where an address and port of the mesh are. */
  locate(address: string, port: number): { readonly host: string; readonly port: number };
}

export interface LoopbackOptions {
  /** By pod: the template of its sockets. */
  readonly sockets: ReadonlyMap<string, string>;
  /** The app for a protocol, for pods without a sidecar. */
  readonly portOf: (protocol: AppProtocol) => number;
}

/** Elsewhere for each process: two of these on one machine would share an address, and take each other's connections. */
let next = (process.pid * 4099) & 0x3f_ff_ff;

/** Below 1,024 only root may listen, and the system hands out the ports from 32,768 on. */
const portShift = 10_000;

export function toLoopback({ sockets, portOf }: LoopbackOptions): Loopback {
  const addresses = new Map<string, string>();
  const toAddress = (address: string): string => {
    const known = addresses.get(address);
    if (known !== undefined) return known;
    next += 1;
    const made = `127.${64 + ((next >> 16) & 63)}.${(next >> 8) & 255}.${next & 255}`;
    addresses.set(address, made);
    return made;
  };
  const toPort = (port: number): number => port + portShift;

  function toEndpoint(endpoint: Endpoint, protocol: AppProtocol): Endpoint {
    const template = sockets.get(endpoint.pod);
    const ip = endpoint.ip === undefined ? {} : { ip: toAddress(endpoint.ip) };
    if (endpoint.meshed && template !== undefined) {
      return { ...endpoint, ...ip, address: { kind: 'pipe', path: template.replace('{port}', String(endpoint.port)) } };
    }
    return { ...endpoint, ...ip, address: { kind: 'ip', ip: '127.0.0.1', port: portOf(protocol) } };
  }

  function toEntry<T extends DirectoryEntry | OutboundService>(entry: T): T {
    return { ...entry, port: toPort(entry.port), addresses: entry.addresses.map(toAddress) };
  }

  return {
    locate: (address, port) => ({ host: toAddress(address), port: toPort(port) }),
    toPolicy(policy) {
      const { reach, directory } = policy;
      const protocols = new Map<string, AppProtocol>();
      for (const { routes, protocol } of reach.outbound.values()) {
        for (const { endpoints } of routes.flatMap(({ backends }) => backends)) protocols.set(endpoints, protocol);
      }
      const toSet = (set: EndpointSet): EndpointSet => ({
        ...set,
        endpoints: set.endpoints.map((endpoint) => toEndpoint(endpoint, protocols.get(set.key) ?? 'http')),
      });
      return {
        ...policy,
        reach: {
          outbound: new Map([...reach.outbound].map(([key, service]) => [key, toEntry(service)])),
          endpoints: new Map([...reach.endpoints].map(([key, set]) => [key, toSet(set)])),
        },
        directory: new Map(
          [...directory].map(([key, entry]) => {
            const pods = entry.pods?.map(({ ip, hostnames }) => ({ ip: toAddress(ip), hostnames }));
            return [key, { ...toEntry(entry), ...(pods ? { pods } : {}) }];
          }),
        ),
      };
    },
  };
}
