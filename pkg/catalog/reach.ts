import type { EndpointSet } from '../policy/endpoints.ts';
import type { ServiceIdentity } from '../policy/identity.ts';
import type { EndpointSetKey, OutboundService, ServicePortKey } from '../policy/outbound.ts';
import type { Reach } from '../policy/proxy-policy.ts';
import { createIntern, createNumbering, keepList } from './memo.ts';
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
  const byFragments = createIntern<{ readonly reach: Reach }>();
  const holders = new WeakMap<Reach, object>();
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

  return (offers) => {
    common = keepList(
      common,
      offers.flatMap(({ everyone }) => everyone ?? []),
    );
    const base = common;
    const own = new Map<ServiceIdentity, Fragment[]>();
    for (const { clients } of offers) {
      for (const [client, fragment] of clients) {
        const list = own.get(client);
        if (list) list.push(fragment);
        else own.set(client, [fragment]);
      }
    }
    const known = new Map<ServiceIdentity | '', Reach>();
    return {
      reachOf(identity) {
        const extra = own.get(identity) ?? [];
        const id = extra.length === 0 ? '' : identity;
        let reach = known.get(id);
        if (reach === undefined) {
          const key = [numberOf(base), ...extra.map(numberOf)].join(' ');
          const holder = byFragments.get(key, () => ({
            reach: toReach(merge(base, extra)),
          }));
          reach = holder.reach;
          // The holder lives as long as what it holds is in use.
          holders.set(reach, holder);
          known.set(id, reach);
        }
        return reach;
      },
    };
  };
}

/** What a client's own view has of a Service port replaces everybody's. */
function merge(base: readonly Fragment[], extra: readonly Fragment[]): readonly Fragment[] {
  if (extra.length === 0) return base;
  const byKey = new Map([...base, ...extra].map((fragment) => [fragment.service.key, fragment]));
  return [...byKey.values()];
}
