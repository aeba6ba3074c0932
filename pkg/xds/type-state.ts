import { emptyView } from './encode.ts';
import { costOfVersions, NameSet } from './name-set.ts';
import type { EncodedResource, ResourceView } from './resources.ts';
import type { ResponseBody, ResponseEncoder } from './response-encoder.ts';
import type { TypeTraits } from './type-traits.ts';

/** What the server knows of one type on one stream. */
export interface TypeState {
  readonly typeUrl: string;
  readonly traits: TypeTraits;
  wildcard: boolean;
  readonly names: NameSet;
  /** The client has, or was sent, what it subscribes to of this view. */
  base: ResourceView;
  /** Names to send whatever `base` says: just subscribed to, or due again. */
  readonly fresh: NameSet;
  /** The client still has these, which are gone from `base`: their removal waits for what refers to them. */
  readonly stale: Map<string, EncodedResource>;
  /** Delta: what a reconnected client said that it has. Taken into account once. */
  known: ReadonlyMap<string, string> | undefined;
  /** What `known` costs. */
  knownCost: number;
  /** State of the world: the version that a reconnected client said that it has. */
  knownVersion: string;
  /** Changed on this stream before the type that must be sent again beside it (`resends`) was asked for. */
  readonly unaccompanied: Set<string>;
  /** A first answer is due, though it be empty. */
  owed: boolean;
  /** Pieces of an answer that has been composed. */
  queue: readonly ResponseBody[];
  /** What is needed of the answer that is outstanding: its bytes are not kept for those who never give theirs. */
  inFlight: (Pick<ResponseBody, 'nonce' | 'names'> & { readonly since: number }) | undefined;
  lastNonce: string;
  nack: string | undefined;
}

export interface Collected {
  readonly changed: readonly EncodedResource[];
  readonly removed: readonly string[];
}

export function createTypeState(typeUrl: string, traits: TypeTraits): TypeState {
  return {
    typeUrl,
    traits,
    wildcard: false,
    names: new NameSet(),
    base: emptyView,
    fresh: new NameSet(),
    stale: new Map(),
    known: undefined,
    knownCost: 0,
    knownVersion: '',
    unaccompanied: new Set(),
    owed: false,
    queue: [],
    inFlight: undefined,
    lastNonce: '',
    nack: undefined,
  };
}

export function setKnown(state: TypeState, versions: ReadonlyMap<string, string> | undefined): void {
  state.known = versions;
  state.knownCost = versions ? costOfVersions(versions) : 0;
}

/** Bytes of memory for what the client has said: names and versions that it may have made up. */
export function costOf({ names, fresh, knownCost }: TypeState): number {
  return names.cost + fresh.cost + knownCost;
}

export function inScope(state: TypeState, name: string): boolean {
  return state.wildcard || state.names.has(name);
}

/**
 * What changed since a client that comes back was connected. Clients that saw the same come back with the same
 * versions, which are one object then (`receiveDelta`), and share the answer.
 */
function collectKnown(
  state: TypeState,
  current: ResourceView,
  known: ReadonlyMap<string, string>,
  encoder: ResponseEncoder,
): Collected {
  if (state.wildcard && state.fresh.size === 0) return encoder.diffKnown(known, current);
  const changed: EncodedResource[] = [];
  for (const name of state.wildcard ? current.resources.keys() : state.names) {
    const resource = current.resources.get(name);
    if (resource && (known.get(name) !== resource.version || state.fresh.has(name))) changed.push(resource);
  }
  const removed = [...known.keys()].filter((name) => inScope(state, name) && !current.resources.has(name));
  return { changed, removed };
}

/** What has to be told, removals included that may have to wait. The lists of a shared diff are given as they are. */
export function collect(state: TypeState, current: ResourceView, encoder: ResponseEncoder): Collected {
  if (state.known) return collectKnown(state, current, state.known, encoder);
  const diff = encoder.diff(state.base, current);
  if (state.wildcard && state.fresh.size === 0) return diff;
  const changed = diff.changed.filter(({ name }) => inScope(state, name) && !state.fresh.has(name));
  const removed = diff.removed.filter((name) => inScope(state, name) && !state.fresh.has(name));
  for (const name of state.fresh) {
    const resource = current.resources.get(name);
    if (resource) changed.push(resource);
    else removed.push(name);
  }
  const whole = encoder.listOf(current);
  return {
    changed: changed.length === whole.length ? whole : sharedList(changed, diff.changed),
    removed: sharedList(removed, diff.removed),
  };
}

/** An equal list that other streams have too, so that its bytes are made once. */
function sharedList<T>(list: readonly T[], shared: readonly T[]): readonly T[] {
  return list.length === shared.length && list.every((one, i) => one === shared[i]) ? shared : list;
}
