import type { EndpointSet } from '../policy/endpoints.ts';
import type { ServiceIdentity } from '../policy/identity.ts';
import type { EndpointSetKey, OutboundService, ServicePortKey } from '../policy/outbound.ts';
import type { Reach } from '../policy/proxy-policy.ts';
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
  let last = new Map<
    ServiceIdentity | '',
    { readonly base: readonly Fragment[]; readonly own: Own; readonly reach: Reach }
  >();

  return (offers) => {
    common = keepList(
      common,
      offers.flatMap(({ everyone }) => everyone ?? []),
    );
    const base = common;
    const views = changeOwn(own, offered, offers);
    own = views;
    offered = offers;
    const before = last;
    const known: typeof last = new Map();
    last = known;
    return {
      reachOf(identity) {
        const extra = views.get(identity) ?? nothing;
        const id = extra.size === 0 ? '' : identity;
        const found = known.get(id) ?? before.get(id);
        if (found?.base === base && found.own === extra) {
          known.set(id, found);
          return found.reach;
        }
        const reach = toReach(merge(base, extra));
        known.set(id, { base, own: extra, reach });
        return reach;
      },
    };
  };
}

/** What one client may reach beyond what everybody may, sorted by key. Never changed once made. */
type Own = ReadonlyMap<ServicePortKey, Fragment>;

const nothing: Own = new Map();

/** Carries over what changed between two rounds of offers; clients whom it does not concern keep the same map. */
function changeOwn(
  own: ReadonlyMap<ServiceIdentity, Own>,
  before: readonly Offer[],
  after: readonly Offer[],
): ReadonlyMap<ServiceIdentity, Own> {
  const kept = new Set(before);
  const gone = new Map(before.map((offer) => [offer.key, offer]));
  const changes = new Map<ServiceIdentity, Map<ServicePortKey, Fragment | undefined>>();
  const note = (client: ServiceIdentity, key: ServicePortKey, fragment: Fragment | undefined): void => {
    const own = changes.get(client) ?? new Map<ServicePortKey, Fragment | undefined>();
    changes.set(client, own.set(key, fragment));
  };
  for (const offer of after) {
    const old = gone.get(offer.key);
    gone.delete(offer.key);
    if (kept.has(offer)) continue;
    for (const client of old?.clients.keys() ?? []) if (!offer.clients.has(client)) note(client, offer.key, undefined);
    for (const [client, fragment] of offer.clients) {
      if (old?.clients.get(client) !== fragment) note(client, offer.key, fragment);
    }
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
