import type { EndpointSet } from '../policy/endpoints.ts';
import type { ServiceIdentity } from '../policy/identity.ts';
import type { EndpointSetKey, OutboundService, ServicePortKey } from '../policy/outbound.ts';
import type { Reach } from '../policy/proxy-policy.ts';
import { changeOf, createIndex, createListMap, type ListChange } from './lists.ts';
import { createIntern, createNumbering, keepList } from './memo.ts';
import { compareText } from './order.ts';
import type { Fragment, Offer } from './outbound.ts';

export interface Reaches {
  /** The same object for all identities with the same reach. */
  reachOf(identity: ServiceIdentity): Reach;
}

/**
 * Turns offers around: what each client may reach. What everybody may is one list; only what a client may beyond
 * that is its own, so that the cost is that of the grants, not of services times clients.
 */
export function createReaches(): (offers: readonly Offer[]) => Reaches {
  const numberOf = createNumbering();
  const outbounds = createIntern<ReadonlyMap<ServicePortKey, OutboundService>>();
  const endpointMaps = createIntern<ReadonlyMap<EndpointSetKey, EndpointSet>>();
  const reaches = createIntern<Reach>();
  const everyonesOf = createListMap(({ everyone }: Offer) => everyone);
  const toCommonReach = createCommonReach();
  let common: readonly Fragment[] = [];

  function toReach(fragments: readonly Fragment[]): Reach {
    const services = fragments.map(({ service }) => service);
    const sets = [...new Set(fragments.flatMap((fragment) => fragment.sets))];
    const outbound = outbounds.get(
      services.map(numberOf).join(' '),
      () => new Map(services.map((service) => [service.key, service])),
    );
    const endpoints = endpointMaps.get(sets.map(numberOf).join(' '), () => new Map(sets.map((set) => [set.key, set])));
    return reaches.get(`${numberOf(outbound)} ${numberOf(endpoints)}`, () => ({
      outbound,
      endpoints,
    }));
  }

  let offered: readonly Offer[] = [];
  let own: ReadonlyMap<ServiceIdentity, Own> = new Map();
  const known = new Map<ServiceIdentity | '', Known>();

  /** Identities that nobody has asked for in this round go, once they are as many as those who have something. */
  function forget(base: readonly Fragment[]): void {
    if (known.size <= 2 * own.size + 1_000) return;
    for (const [identity, entry] of known)
      if (entry.base !== base || !own.has(identity as ServiceIdentity)) known.delete(identity);
  }

  return (offers) => {
    common = keepList(
      common,
      everyonesOf(offers).filter((fragment) => fragment !== undefined),
    );
    const base = common;
    const views = changeOwn(own, changeOf(offered, offers));
    own = views;
    offered = offers;
    forget(base);
    return {
      reachOf(identity) {
        const extra = views.get(identity) ?? nothing;
        const id = extra.size === 0 ? '' : identity;
        const found = known.get(id);
        if (found?.base === base && found.own === extra) return found.reach;
        const reach = id === '' ? toCommonReach(base) : toReach(merge(base, extra));
        known.set(id, { base, own: extra, reach });
        return reach;
      },
    };
  };
}

interface Known {
  readonly base: readonly Fragment[];
  readonly own: Own;
  readonly reach: Reach;
}

/** The reach of all that have nothing of their own: of a mesh where everybody may call everybody, one for all. */
function createCommonReach(): (fragments: readonly Fragment[]) => Reach {
  const servicesOf = createListMap(({ service }: Fragment) => service);
  const setsOf = createListMap(({ sets }: Fragment) => sets);
  const byService = createIndex(({ key }: OutboundService) => key);
  const bySet = createIndex(({ key }: EndpointSet) => key);
  let last: Reach | undefined;
  return (fragments) => {
    const outbound = byService(servicesOf(fragments));
    const sets: EndpointSet[] = [];
    for (const list of setsOf(fragments)) for (const set of list) sets.push(set);
    const endpoints = bySet(sets);
    if (last?.outbound !== outbound || last.endpoints !== endpoints) last = { outbound, endpoints };
    return last;
  };
}

/** What one client may reach beyond what everybody may, sorted by key. Never changed once made. */
type Own = ReadonlyMap<ServicePortKey, Fragment>;

const nothing: Own = new Map();

/** Carries over what changed between two rounds of offers; clients whom it does not concern keep the same map. */
function changeOwn(
  own: ReadonlyMap<ServiceIdentity, Own>,
  offers: ListChange<Offer> | undefined,
): ReadonlyMap<ServiceIdentity, Own> {
  if (offers === undefined) return own;
  const changes = new Map<ServiceIdentity, Map<ServicePortKey, Fragment | undefined>>();
  const note = (client: ServiceIdentity, key: ServicePortKey, fragment: Fragment | undefined): void => {
    const own = changes.get(client) ?? new Map<ServicePortKey, Fragment | undefined>();
    changes.set(client, own.set(key, fragment));
  };
  const gone = new Map(offers.removed.map((offer) => [offer.key, offer]));
  for (const { key, clients } of offers.added) {
    const old = gone.get(key)?.clients;
    gone.delete(key);
    for (const client of old?.keys() ?? []) if (!clients.has(client)) note(client, key, undefined);
    for (const [client, fragment] of clients) if (old?.get(client) !== fragment) note(client, key, fragment);
  }
  for (const { key, clients } of gone.values()) for (const client of clients.keys()) note(client, key, undefined);
  if (changes.size === 0) return own;
  const next = new Map(own);
  for (const [client, changed] of changes) {
    const views = new Map(own.get(client));
    for (const [key, fragment] of changed) {
      if (fragment === undefined) views.delete(key);
      else views.set(key, fragment);
    }
    if (views.size === 0) next.delete(client);
    else next.set(client, new Map([...views].sort(([a], [b]) => compareText(a, b))));
  }
  return next;
}

/** What a client's own view has of a Service port replaces everybody's. */
function merge(base: readonly Fragment[], extra: Own): readonly Fragment[] {
  if (extra.size === 0) return base;
  if (base.length === 0) return [...extra.values()];
  const byKey = new Map(base.map((fragment) => [fragment.service.key, fragment]));
  for (const [key, fragment] of extra) byKey.set(key, fragment);
  return [...byKey.values()];
}
