import type { Problem } from '../problem/problem.ts';
import { decodeSmiObject } from '../smi/decode.ts';
import type { HTTPRouteGroup } from '../smi/http-route-group/http-route-group.ts';
import type { IdentityBinding } from '../smi/identity-binding/identity-binding.ts';
import type { SmiObject } from '../smi/kinds.ts';
import type { TCPRoute } from '../smi/tcp-route/tcp-route.ts';
import type { TrafficSplit } from '../smi/traffic-split/traffic-split.ts';
import type { TrafficTarget } from '../smi/traffic-target/traffic-target.ts';
import type { UDPRoute } from '../smi/udp-route/udp-route.ts';
import { keepList, keepMap } from './memo.ts';
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

type Decoded = ReturnType<typeof decodeSmiObject>;

/** Decodes each object once. */
export function createSmiObjects(): (previous: SmiObjects | undefined, raws: readonly RawObject[]) => SmiObjects {
  const known = new WeakMap<RawObject, Decoded>();

  function decode(raw: RawObject): Decoded {
    let decoded = known.get(raw);
    if (decoded === undefined) {
      decoded = decodeSmiObject(raw);
      known.set(raw, decoded);
    }
    return decoded;
  }

  return (previous, raws) => {
    const values: SmiObject[] = [];
    const undecoded = new Set<string>();
    const problems: (readonly Problem[])[] = [];
    for (const raw of raws) {
      const { value, problems: own } = decode(raw);
      if (value) values.push(value);
      else undecoded.add(`${raw.kind} ${raw.metadata.namespace}/${raw.metadata.name}`);
      if (own.length > 0) problems.push(own);
    }
    values.sort(compareName);
    const sameUndecoded =
      previous?.undecoded.size === undecoded.size && [...undecoded].every((key) => previous.undecoded.has(key));
    return {
      targets: keepList(previous?.targets, ofKind(values, 'TrafficTarget')),
      splits: keepList(previous?.splits, ofKind(values, 'TrafficSplit')),
      groups: keepMap(previous?.groups, byName(ofKind(values, 'HTTPRouteGroup'))),
      tcpRoutes: keepMap(previous?.tcpRoutes, byName(ofKind(values, 'TCPRoute'))),
      udpRoutes: keepMap(previous?.udpRoutes, byName(ofKind(values, 'UDPRoute'))),
      bindings: keepMap(previous?.bindings, byName(ofKind(values, 'IdentityBinding'))),
      undecoded: previous && sameUndecoded ? previous.undecoded : undecoded,
      problems,
    };
  };
}

function ofKind<K extends SmiObject['kind']>(
  values: readonly SmiObject[],
  kind: K,
): readonly Extract<SmiObject, { kind: K }>[] {
  return values.filter((value): value is Extract<SmiObject, { kind: K }> => value.kind === kind);
}

function byName<T extends SmiObject>(list: readonly T[]): ReadonlyMap<string, T> {
  return new Map(list.map((object) => [`${object.namespace}/${object.name}`, object]));
}
