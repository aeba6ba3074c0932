import { type AdsLimits, defaultAdsLimits } from './ads-limits.ts';
import {
  decodeDeltaRequest,
  decodeSotwRequest,
  type DeltaRequest,
  type RpcStatus,
  type SotwRequest,
  TooManyNames,
} from './discovery.ts';
import { emptyView } from './encode.ts';
import type { EncodedResource, ResourceView } from './resources.ts';
import { hashVersions, type ResponseBody, type ResponseEncoder } from './response-encoder.ts';
import { collect, costOf, createTypeState, inScope, setKnown, type TypeState } from './type-state.ts';
import { traitsOf } from './type-traits.ts';

export type AdsProtocol = 'delta' | 'sotw';

/** What a request meant, for the log and the metrics. */
export type AdsEvent =
  | { readonly kind: 'subscribed' | 'stale' }
  | { readonly kind: 'ack'; readonly typeUrl: string; readonly milliseconds: number }
  | { readonly kind: 'nack'; readonly typeUrl: string; readonly message: string; readonly names: readonly string[] }
  | { readonly kind: 'refused'; readonly reason: string };

export interface AdsTypeStatus {
  readonly typeUrl: string;
  /** The newest state is acknowledged, or refused. */
  readonly synced: boolean;
  /** Since when an answer is outstanding. */
  readonly since?: number;
  readonly nack?: string;
}

export interface AdsStreamOptions {
  readonly protocol: AdsProtocol;
  /** Undefined: not served, or not known yet; the client then gets no answer, rather than an empty one. */
  readonly view: (typeUrl: string) => ResourceView | undefined;
  readonly encoder: ResponseEncoder;
  readonly now: () => number;
  readonly limits?: AdsLimits;
}

/**
 * One stream of ADS as a state machine: requests in, responses out, no I/O.
 *
 * The driver asks `next` for a response whenever the proxy can take one. There is never more than one unanswered
 * response per type, and it is composed when it is asked for: whatever changes while one is under way is part of the
 * next, and a slow proxy has nothing queued but the newest state (DECISIONS E7a).
 */
export interface AdsStream {
  receive(message: Buffer): AdsEvent;
  next(): ResponseBody | undefined;
  status(): readonly AdsTypeStatus[];
  /** Bytes of memory for names that the client has said (`AdsLimits.nameBytes`). */
  held(): number;
  /** Forgets all: nothing is received or composed any more. */
  close(): void;
}

export function createAdsStream(options: AdsStreamOptions): AdsStream {
  const { protocol, view, encoder, now, limits = defaultAdsLimits } = options;
  const types = new Map<string, TypeState>();
  let ordered: TypeState[] = [];
  /** Requests for types that nobody serves. */
  const ignored = new Set<string>();

  function stateOf(typeUrl: string): TypeState | undefined {
    const known = types.get(typeUrl);
    if (known) return known;
    const traits = traitsOf(typeUrl);
    if (!traits) return undefined;
    const state = createTypeState(typeUrl, traits);
    types.set(typeUrl, state);
    ordered = [...types.values()].sort((a, b) => a.traits.order - b.traits.order);
    return state;
  }

  const countNames = (): number => ordered.reduce((sum, { names, known }) => sum + names.size + (known?.size ?? 0), 0);
  const held = (): number => ordered.reduce((sum, state) => sum + costOf(state), 0);

  function subscribe(state: TypeState, names: readonly string[]): void {
    if (names.length === 0) return;
    const current = view(state.typeUrl);
    for (const name of names) {
      if (name === '*') {
        state.owed ||= !state.wildcard;
        if (!state.wildcard) state.base = emptyView;
        state.wildcard = true;
        continue;
      }
      // The string of the view rather than the client's own copy of it: thousands of streams name the same resources.
      const interned = current?.resources.get(name)?.name ?? name;
      state.names.add(interned);
      state.fresh.add(interned);
    }
  }

  function unsubscribe(state: TypeState, names: readonly string[]): void {
    for (const name of names) {
      if (name === '*') {
        state.wildcard = false;
        state.stale.clear();
        continue;
      }
      state.names.delete(name);
      // The client forgets it; what a wildcard still covers has to be told again.
      if (state.wildcard) state.fresh.add(name);
      else {
        state.fresh.delete(name);
        state.stale.delete(name);
      }
    }
  }

  function receiveDelta(state: TypeState, request: DeltaRequest, first: boolean): AdsEvent {
    const { subscribe: added, unsubscribe: dropped, initialVersions } = request;
    if (first) {
      state.wildcard = added.length === 0 && state.traits.wildcardWhenEmpty;
      state.owed = state.wildcard;
      if (initialVersions.size > 0) setKnown(state, initialVersions);
    }
    subscribe(state, added);
    unsubscribe(state, dropped);
    // Whoever says what it has needs nothing sent for having subscribed.
    if (first && state.known) state.fresh.clear();
    if (first) accompany(state);
    return request.nonce === '' ? { kind: 'subscribed' } : settle(state, request.nonce, request.error);
  }

  function receiveSotw(state: TypeState, request: SotwRequest, first: boolean): AdsEvent {
    const names = request.names;
    if (!first && request.nonce !== '' && request.nonce !== state.lastNonce) return { kind: 'stale' };
    if (first) {
      state.wildcard = names.length === 0 && state.traits.wildcardWhenEmpty;
      state.owed = state.wildcard || state.traits.fullState;
      state.knownVersion = request.version;
    }
    const legacyWildcard = state.wildcard && state.names.size === 0 && names.length === 0;
    if (!legacyWildcard) {
      const wanted = new Set(names);
      const dropped = [...state.names].filter((name) => !wanted.has(name));
      if (state.wildcard && !wanted.has('*')) dropped.push('*');
      unsubscribe(state, dropped);
      subscribe(
        state,
        names.filter((name) => (name === '*' ? !state.wildcard : !state.names.has(name))),
      );
    }
    return first || request.nonce === '' ? { kind: 'subscribed' } : settle(state, request.nonce, request.error);
  }

  function settle(state: TypeState, nonce: string, error: RpcStatus | undefined): AdsEvent {
    const { inFlight, typeUrl } = state;
    if (inFlight?.nonce !== nonce) return { kind: nonce === state.lastNonce ? 'subscribed' : 'stale' };
    state.inFlight = undefined;
    // What was refused counts as sent: it is not sent again until it changes.
    state.nack = error?.message;
    if (error) return { kind: 'nack', typeUrl, message: error.message, names: inFlight.names };
    return { kind: 'ack', typeUrl, milliseconds: now() - inFlight.since };
  }

  const unsettled = (typeUrl: string): boolean => {
    const state = types.get(typeUrl);
    if (!state) return false;
    const current = view(typeUrl);
    if (!current) return false;
    return state.inFlight !== undefined || state.queue.length > 0 || state.base !== current || state.fresh.size > 0;
  };

  /** Sorts out which removals go now. Those that must wait stay in `stale`. */
  function dueRemovals(state: TypeState, previous: ResourceView, removed: readonly string[]): readonly string[] {
    const held = state.traits.referredBy.some(unsettled);
    if (!held) {
      if (state.stale.size === 0) return removed;
      const all = [...new Set([...state.stale.keys(), ...removed])];
      state.stale.clear();
      return all;
    }
    const due: string[] = [];
    for (const name of removed) {
      const resource = previous.resources.get(name);
      if (resource) state.stale.set(name, resource);
      else due.push(name);
    }
    return due;
  }

  function compose(state: TypeState): ResponseBody | undefined {
    const current = view(state.typeUrl);
    if (!current || state.inFlight) return undefined;
    if (state.queue.length > 0) return send(state, state.queue);
    if (state.traits.after.some(unsettled)) return undefined;
    if (state.base === current && !state.owed && !state.known && state.fresh.size === 0 && state.stale.size === 0) {
      return undefined;
    }
    const previous = state.base;
    const { changed, removed } = collect(state, current, encoder);
    if (state.stale.size > 0) for (const { name } of changed) state.stale.delete(name);
    const due = dueRemovals(state, previous, removed);
    state.base = current;
    setKnown(state, undefined);
    state.fresh.clear();
    resendBeside(state, changed);
    const owed = state.owed;
    state.owed = false;
    if (protocol === 'sotw') return composeSotw(state, current, changed, due, owed);
    if (changed.length === 0 && due.length === 0 && !owed) return undefined;
    return send(state, encoder.delta({ typeUrl: state.typeUrl, changed, removed: due }));
  }

  function composeSotw(
    state: TypeState,
    current: ResourceView,
    changed: readonly EncodedResource[],
    due: readonly string[],
    owed: boolean,
  ): ResponseBody | undefined {
    const { typeUrl, traits } = state;
    const all = state.wildcard && state.stale.size === 0;
    const scope = all ? encoder.listOf(current) : scopedResources(state, current);
    const version = all ? encoder.versionOf(current) : hashVersions(scope);
    const known = state.knownVersion === version;
    state.knownVersion = '';
    if (known) return undefined;
    if (!owed && changed.length === 0 && (due.length === 0 || !traits.fullState)) return undefined;
    return send(state, [encoder.sotw({ typeUrl, version, resources: traits.fullState ? scope : changed })]);
  }

  function scopedResources(state: TypeState, current: ResourceView): readonly EncodedResource[] {
    const names = state.wildcard ? current.resources.keys() : state.names;
    const resources = Array.from(names, (name) => current.resources.get(name)).filter((found) => found !== undefined);
    return [...resources, ...state.stale.values()];
  }

  function resendBeside(state: TypeState, changed: readonly EncodedResource[]): void {
    if (state.traits.resends === undefined) return;
    const beside = types.get(state.traits.resends);
    for (const { name } of changed) {
      if (!beside) state.unaccompanied.add(name);
      else if (inScope(beside, name)) beside.fresh.add(name);
    }
  }

  /** The type was not asked for yet when resources changed that it must be sent again beside. */
  function accompany(beside: TypeState): void {
    for (const state of ordered) {
      if (state.traits.resends !== beside.typeUrl) continue;
      for (const name of state.unaccompanied) if (inScope(beside, name)) beside.fresh.add(name);
      state.unaccompanied.clear();
    }
  }

  function send(state: TypeState, [body, ...rest]: readonly ResponseBody[]): ResponseBody | undefined {
    if (!body) return undefined;
    state.queue = rest;
    state.inFlight = { nonce: body.nonce, names: body.names, since: now() };
    state.lastNonce = body.nonce;
    return body;
  }

  /** Undefined: it names more than a stream may. */
  function decode(message: Buffer): DeltaRequest | SotwRequest | undefined {
    try {
      return protocol === 'delta' ? decodeDeltaRequest(message, limits) : decodeSotwRequest(message, limits);
    } catch (error) {
      if (error instanceof TooManyNames) return undefined;
      throw error;
    }
  }

  return {
    receive(message) {
      const request = decode(message);
      if (request === undefined) return { kind: 'refused', reason: 'too many resource names' };
      const names = 'names' in request ? request.names : request.subscribe;
      if (names.some((name) => name.length > limits.nameLength)) return { kind: 'refused', reason: 'name too long' };
      if (request.typeUrl.length > limits.nameLength) return { kind: 'refused', reason: 'type URL too long' };
      const first = !types.has(request.typeUrl);
      if (first && types.size + ignored.size >= limits.types && !ignored.has(request.typeUrl))
        return { kind: 'refused', reason: 'too many types' };
      const state = stateOf(request.typeUrl);
      if (!state) {
        // Whoever asks for what only others serve gets no answer, and nothing is held for it.
        ignored.add(request.typeUrl);
        return { kind: 'subscribed' };
      }
      const event = 'names' in request ? receiveSotw(state, request, first) : receiveDelta(state, request, first);
      const isTooMuch = countNames() > limits.names || held() > limits.nameBytes;
      return isTooMuch ? { kind: 'refused', reason: 'too many resource names' } : event;
    },

    next() {
      for (const state of ordered) {
        const body = compose(state);
        if (body) return body;
      }
      // The round may have settled what the removals of an earlier type waited for.
      for (const state of ordered) {
        const body = state.stale.size > 0 ? compose(state) : undefined;
        if (body) return body;
      }
      return undefined;
    },

    status() {
      return ordered.map((state) => ({
        typeUrl: state.typeUrl,
        synced: !unsettled(state.typeUrl) && view(state.typeUrl) !== undefined && !state.owed,
        ...(state.inFlight ? { since: state.inFlight.since } : {}),
        ...(state.nack === undefined ? {} : { nack: state.nack }),
      }));
    },

    held,

    close() {
      types.clear();
      ordered = [];
    },
  };
}
