import type { Problem } from '../problem/problem.ts';
import { decodeSmiObject } from '../smi/decode.ts';
import type { HTTPRouteGroup } from '../smi/http-route-group/http-route-group.ts';
import type { IdentityBinding } from '../smi/identity-binding/identity-binding.ts';
import type { SmiObject } from '../smi/kinds.ts';
import type { TCPRoute } from '../smi/tcp-route/tcp-route.ts';
import type { TrafficSplit } from '../smi/traffic-split/traffic-split.ts';
import type { TrafficTarget } from '../smi/traffic-target/traffic-target.ts';
import type { UDPRoute } from '../smi/udp-route/udp-route.ts';
import { createIndex, createListMap, createSorted } from './lists.ts';
import { compareName } from './order.ts';
import type { RawObject } from './snapshot.ts';

/** The SMI objects of a snapshot, decoded, each kind by itself: a list or map that didn't change is the same object. */
export interface SmiObjects {
  /** Sorted by name. */
  readonly targets: readonly TrafficTarget[];
  readonly splits: readonly TrafficSplit[];
  /** By `namespace/name`. */
  readonly groups: ReadonlyMap<string, HTTPRouteGroup>;
  readonly tcpRoutes: ReadonlyMap<string, TCPRoute>;
  readonly udpRoutes: ReadonlyMap<string, UDPRoute>;
  readonly bindings: ReadonlyMap<string, IdentityBinding>;
  /** `Kind namespace/name` of objects that are there and could not be decoded. */
  readonly undecoded: ReadonlySet<string>;
  readonly problems: readonly (readonly Problem[])[];
}

/** What access depends on. */
export type AccessObjects = Pick<
  SmiObjects,
  'targets' | 'groups' | 'tcpRoutes' | 'udpRoutes' | 'bindings' | 'undecoded'
>;

/** What splits depend on. */
export type SplitObjects = Pick<SmiObjects, 'splits' | 'groups'>;

type Decoded = ReturnType<typeof decodeSmiObject> & { readonly raw: RawObject };

/** Decodes each object once. */
export function createSmiObjects(): (previous: SmiObjects | undefined, raws: readonly RawObject[]) => SmiObjects {
  const decodeAll = createListMap((raw: RawObject): Decoded => ({ raw, ...decodeSmiObject(raw) }));
  const kinds = {
    TrafficTarget: createKind<TrafficTarget>(),
    TrafficSplit: createKind<TrafficSplit>(),
    HTTPRouteGroup: createKind<HTTPRouteGroup>(),
    TCPRoute: createKind<TCPRoute>(),
    UDPRoute: createKind<UDPRoute>(),
    IdentityBinding: createKind<IdentityBinding>(),
  };

  return (previous, raws) => {
    const values = groupByKind();
    const undecoded = new Set<string>();
    const problems: (readonly Problem[])[] = [];
    for (const { raw, value, problems: own } of decodeAll(raws)) {
      if (value) (values[value.kind] as SmiObject[]).push(value);
      else undecoded.add(`${raw.kind} ${raw.metadata.namespace}/${raw.metadata.name}`);
      if (own.length > 0) problems.push(own);
    }
    const sameUndecoded =
      previous?.undecoded.size === undecoded.size && [...undecoded].every((key) => previous.undecoded.has(key));
    return {
      targets: kinds.TrafficTarget.sorted(values.TrafficTarget),
      splits: kinds.TrafficSplit.sorted(values.TrafficSplit),
      groups: kinds.HTTPRouteGroup.byName(values.HTTPRouteGroup),
      tcpRoutes: kinds.TCPRoute.byName(values.TCPRoute),
      udpRoutes: kinds.UDPRoute.byName(values.UDPRoute),
      bindings: kinds.IdentityBinding.byName(values.IdentityBinding),
      undecoded: previous && sameUndecoded ? previous.undecoded : undecoded,
      problems,
    };
  };
}

type ByKind = { [K in SmiObject['kind']]: Extract<SmiObject, { kind: K }>[] };

function groupByKind(): ByKind {
  return { TrafficTarget: [], TrafficSplit: [], HTTPRouteGroup: [], TCPRoute: [], UDPRoute: [], IdentityBinding: [] };
}

/** The objects of one kind, followed from round to round. */
function createKind<T extends SmiObject>(): {
  readonly sorted: (list: readonly T[]) => readonly T[];
  readonly byName: (list: readonly T[]) => ReadonlyMap<string, T>;
} {
  const sorted = createSorted<T>(compareName);
  const index = createIndex(({ namespace, name }: T) => `${namespace}/${name}`);
  return { sorted, byName: (list) => index(sorted(list)) };
}
