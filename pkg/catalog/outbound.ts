import type { EndpointSet } from '../policy/endpoints.ts';
import type { ServiceIdentity } from '../policy/identity.ts';
import type { EndpointSetKey, OutboundRoute, OutboundService, ServicePortKey } from '../policy/outbound.ts';
import type { Backing } from './endpoints.ts';
import { createIndex, createLastRound } from './lists.ts';
import { createMemo, keepList, keepMap, sameMembers } from './memo.ts';
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

/** What a fragment of one Service port is made of; each is another object when it changed. */
interface Sources {
  readonly backing: Backing;
  readonly split: OutboundRoute | undefined;
  readonly own: Permission;
  /** The split's backends that take a share: who may call them, and their endpoints. */
  readonly backends: readonly { readonly permission: Permission; readonly endpoints: EndpointSet }[];
}

/** Builds all fragments: one per Service port and view, whatever the number of clients. */
export function createOffers(): (
  backings: readonly Backing[],
  permissions: Permissions,
  plan: SplitPlan,
) => readonly Offer[] {
  const index = createIndex(({ key }: Backing) => key);
  const lastRound = createLastRound(({ backing }: Entry) => backing.key);
  let last: { readonly permissions: Permissions; readonly plan: SplitPlan } | undefined;
  let offers: readonly Offer[] = [];

  return (backings, permissions, plan) => {
    const byKey = index(backings);
    const isSamePlan = last?.plan === plan;
    const areSamePermissions = last?.permissions === permissions;
    const entries = backings.map((backing, place) => {
      const { key } = backing;
      const before = lastRound.at(place, key);
      const own = before && areSamePermissions ? before.own : (permissions.get(key) ?? noPermission);
      const split = before && isSamePlan ? before.split : plan.routes.get(key);
      const isPlain = split === undefined && before?.split === undefined;
      const isSame = isPlain && before?.backing === backing && before.own === own;
      return isSame ? before : entryOf(before, { backing, split, own, backends: backendsOf(split) });
    });
    last = { permissions, plan };
    offers = keepList(
      offers,
      lastRound.keep(entries).map(({ offer }) => offer),
    );
    return offers;

    function backendsOf(split: OutboundRoute | undefined): Sources['backends'] {
      return (split?.backends ?? []).flatMap(({ endpoints, excluded }) => {
        const target = excluded === undefined ? byKey.get(endpoints) : undefined;
        const permission = permissions.get(endpoints);
        return target && permission ? [{ permission, endpoints: target.endpoints }] : [];
      });
    }
  };
}

interface Entry extends Sources {
  readonly make: OfferMaker;
  readonly offer: Offer;
}

function entryOf(before: Entry | undefined, sources: Sources): Entry {
  const make = before?.make ?? createOfferMaker();
  const isSame =
    before?.backing === sources.backing &&
    before.split === sources.split &&
    before.own === sources.own &&
    sameMembers(
      before.backends.flatMap(({ permission, endpoints }) => [permission, endpoints]),
      sources.backends.flatMap(({ permission, endpoints }) => [permission, endpoints]),
    );
  if (isSame) return before;
  return { ...sources, make, offer: make(before?.offer, sources) };
}

type OfferMaker = (previous: Offer | undefined, sources: Sources) => Offer;

/** Makes the offer of one Service port again and again; views that did not change stay the same objects. */
function createOfferMaker(): OfferMaker {
  const services = createMemo<string, OutboundService>();
  const fragments = createMemo<string, Fragment>();
  const limited = createMemo<EndpointSetKey, EndpointSet>();

  function viewOf({ backing, own }: Sources, accounts: Accounts): EndpointSet {
    if (accounts === own.accounts) return backing.endpoints;
    const key = `${backing.key}~${hashOf(accounts)}`;
    return limited.get(key, [backing.endpoints, ...accounts], () => ({
      key,
      endpoints: backing.endpoints.endpoints.filter(
        ({ meshed, identity }) => !meshed || accounts.some((account) => account === identity),
      ),
    }));
  }

  function fragmentOf({ backing, split, backends }: Sources, own: EndpointSet | undefined): Fragment {
    const { service, port, protocol } = backing;
    const id = own?.key ?? '';
    const made = services.get(id, [service, port, protocol, split, id], () =>
      toOutboundService(backing, own?.key, split),
    );
    const sets = [...new Set([...backends.map(({ endpoints }) => endpoints), ...(own ? [own] : [])])];
    return fragments.get(id, [made, ...sets], () => ({ service: made, sets }));
  }

  return (previous, sources) => {
    const { backing, split, own, backends } = sources;
    // A split without conditions leaves nothing to the root's own endpoints, so that nobody's view of them counts.
    const usesOwn = split === undefined || split.match !== undefined;
    const fragmentFor = (accounts: Accounts): Fragment =>
      fragmentOf(sources, usesOwn ? viewOf(sources, accounts) : undefined);
    const involved = [own, ...backends.map(({ permission }) => permission)];
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
    for (const memo of [services, fragments, limited]) memo.sweep();
    const kept = keepMap(previous?.clients, clients);
    const same = previous !== undefined && previous.everyone === everyone && previous.clients === kept;
    return same ? previous : { key: backing.key, ...(everyone && { everyone }), clients: kept };
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
  const addresses = headless ? [] : clusterIPs;
  return {
    key,
    namespace,
    name,
    port,
    protocol,
    addresses,
    headless,
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
