import type { EndpointSet } from '../policy/endpoints.ts';
import type { ServiceIdentity } from '../policy/identity.ts';
import type { EndpointSetKey, OutboundRoute, OutboundService, ServicePortKey } from '../policy/outbound.ts';
import type { Backing } from './endpoints.ts';
import { serviceHostnames } from './hostnames.ts';
import { createMemo, keepMap } from './memo.ts';
import type { Permission } from './permission.ts';
import type { SplitPlan } from './traffic-split.ts';

/** How to reach one Service port, and the endpoints that this takes: shared by all clients with the same view. */
export interface Fragment {
  readonly service: OutboundService;
  readonly sets: readonly EndpointSet[];
}

/** One Service port, as it is offered to clients. */
export interface Offer {
  readonly key: ServicePortKey;
  /** The view of everybody that isn't among `clients`; absent: they may not reach it. */
  readonly everyone?: Fragment;
  readonly clients: ReadonlyMap<ServiceIdentity, Fragment>;
}

type Accounts = readonly ServiceIdentity[];
type Permissions = ReadonlyMap<ServicePortKey, Permission>;

/** Builds all fragments: one per Service port and view, whatever the number of clients. */
export function createOffers(): (
  backings: readonly Backing[],
  permissions: Permissions,
  plan: SplitPlan,
) => readonly Offer[] {
  const services = createMemo<string, OutboundService>();
  const fragments = createMemo<string, Fragment>();
  const limited = createMemo<EndpointSetKey, EndpointSet>();
  const offers = createMemo<ServicePortKey, Offer>();

  return (backings, permissions, plan) => {
    const byKey = new Map(backings.map((backing) => [backing.key, backing]));

    function setOf(key: EndpointSetKey): EndpointSet | undefined {
      return byKey.get(key)?.endpoints;
    }

    function viewOf(backing: Backing, accounts: Accounts, all: Accounts): EndpointSet {
      if (accounts === all) return backing.endpoints;
      const key = `${backing.key}~${hashOf(accounts)}`;
      return limited.get(key, [backing.endpoints, ...accounts], () => ({
        key,
        endpoints: backing.endpoints.endpoints.filter(
          ({ meshed, identity }) => !meshed || accounts.some((account) => account === identity),
        ),
      }));
    }

    function fragmentOf(backing: Backing, own: EndpointSet | undefined, split: OutboundRoute | undefined): Fragment {
      const { service, port, protocol, key } = backing;
      const id = own === undefined ? key : `${key} ${own.key}`;
      const made = services.get(id, [service, port, protocol, split, own?.key], () =>
        toOutboundService(backing, own?.key, split),
      );
      const used = new Map<EndpointSetKey, EndpointSet>();
      for (const { backends } of made.routes) {
        for (const { endpoints, excluded } of backends) {
          const set = endpoints === own?.key ? own : setOf(endpoints);
          if (excluded === undefined && set) used.set(set.key, set);
        }
      }
      const sets = [...used.values()];
      return fragments.get(id, [made, ...sets], () => ({
        service: made,
        sets,
      }));
    }

    function offerOf(backing: Backing): Offer {
      const { key, service, port } = backing;
      const split = plan.byRoot.get(`${service.namespace}/${service.name}`)?.routes.get(port);
      const own = permissions.get(key) ?? noPermission;
      // A split without conditions leaves nothing to the root's own endpoints, so that nobody's view of them counts.
      const usesOwn = split === undefined || split.match !== undefined;
      const fragmentFor = (accounts: Accounts): Fragment =>
        fragmentOf(backing, usesOwn ? viewOf(backing, accounts, own.accounts) : undefined, split);
      const targets = split?.backends.filter(({ excluded }) => excluded === undefined) ?? [];
      const involved = [own, ...targets.flatMap(({ endpoints }) => permissions.get(endpoints) ?? [])];
      // Who may reach a backend and none of the root's own pods is told so by these.
      const viewFor = (client: ServiceIdentity): Accounts => own.clients.get(client) ?? own.everyone ?? own.accounts;
      const open = involved.some(({ everyone }) => everyone !== undefined);
      const everyone = open ? fragmentFor(own.everyone ?? own.accounts) : undefined;
      const clients = new Map<ServiceIdentity, Fragment>();
      for (const permission of involved) {
        for (const client of permission.clients.keys()) {
          if (clients.has(client)) continue;
          const fragment = fragmentFor(viewFor(client));
          if (fragment !== everyone) clients.set(client, fragment);
        }
      }
      const offer = { key, ...(everyone && { everyone }), clients };
      return offers.get(key, [everyone, ...clients.keys(), ...clients.values()], (previous) => ({
        ...offer,
        clients: keepMap(previous?.clients, clients),
      }));
    }

    const made = backings.map(offerOf);
    for (const memo of [services, fragments, limited, offers]) memo.sweep();
    return made;
  };
}

const noPermission: Permission = {
  accounts: [],
  clients: new Map(),
  granted: new Set(),
};

function toOutboundService(
  { key, service, port, protocol }: Backing,
  own: EndpointSetKey | undefined,
  split: OutboundRoute | undefined,
): OutboundService {
  const { namespace, name, clusterIPs, headless } = service;
  const routes: OutboundRoute[] = split ? [split] : [];
  if (own !== undefined)
    routes.push({
      backends: [{ weight: 1, service: name, port, endpoints: own }],
    });
  const hostnames = serviceHostnames(namespace, name);
  const addresses = headless ? [] : clusterIPs;
  return {
    key,
    namespace,
    name,
    port,
    protocol,
    addresses,
    headless,
    hostnames,
    routes,
  };
}

/** FNV-1a, twice 32 bits: the same on every machine, so that names of sets stay over restarts. */
function hashOf(accounts: Accounts): string {
  const text = accounts.join('\n');
  const round = (seed: number): string => {
    let hash = seed;
    for (let i = 0; i < text.length; i++) hash = Math.imul(hash ^ text.charCodeAt(i), 0x01000193);
    return (hash >>> 0).toString(16).padStart(8, '0');
  };
  return round(0x811c9dc5) + round(0x9dc5811c);
}
