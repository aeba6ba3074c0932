import { createHash } from 'node:crypto';
import { emptyView, framedBytes } from './encode.ts';
import { layersOf } from './overlay-view.ts';
import type { EncodedResource, ResourceView } from './resources.ts';
import { toBytesField, toStringField } from './wire.ts';

/** A response, ready to be written to any number of streams: the nonce is part of the bytes, and theirs all. */
export interface ResponseBody {
  readonly typeUrl: string;
  readonly nonce: string;
  readonly bytes: Buffer;
  readonly changed: number;
  readonly removed: number;
  /** The first few resources in it, to say which ones a NACK is about. */
  readonly names: readonly string[];
}

/** What turns one view into another. */
export interface ViewDiff {
  readonly changed: readonly EncodedResource[];
  readonly removed: readonly string[];
}

export interface DeltaContent {
  readonly typeUrl: string;
  readonly changed: readonly EncodedResource[];
  readonly removed: readonly string[];
}

export interface SotwContent {
  readonly typeUrl: string;
  readonly version: string;
  readonly resources: readonly EncodedResource[];
}

/**
 * Makes responses for all streams of one server and remembers what many of them need: the difference between two views,
 * and the bytes that carry it. What is remembered goes with the views that it belongs to.
 */
export interface ResponseEncoder {
  diff(from: ResourceView, to: ResourceView): ViewDiff;
  /** What brings a client up to date that has these versions of everything; the same for the same object. */
  diffKnown(known: ReadonlyMap<string, string>, to: ResourceView): ViewDiff;
  /** In pieces of bounded size; one without resources when there is nothing to say. */
  delta(content: DeltaContent): readonly ResponseBody[];
  sotw(content: SotwContent): ResponseBody;
  /** Version of a whole view, for state-of-the-world responses. */
  versionOf(view: ResourceView): string;
  /** The resources of a view as a list, the same list for the same view. */
  listOf(view: ResourceView): readonly EncodedResource[];
}

/** Generic clients accept messages of at most 4 MiB unless told otherwise. */
const maxBody = 2 * 1024 * 1024;

const nothing: readonly never[] = [];
const emptyDiff: ViewDiff = { changed: nothing, removed: nothing };

export function createResponseEncoder(): ResponseEncoder {
  const diffs = new WeakMap<ResourceView, WeakMap<ResourceView, ViewDiff>>();
  const knownDiffs = new WeakMap<ReadonlyMap<string, string>, WeakMap<ResourceView, ViewDiff>>();
  const deltas = new WeakMap<
    readonly EncodedResource[],
    Map<string, WeakMap<readonly string[], readonly ResponseBody[]>>
  >();
  const sotws = new WeakMap<readonly EncodedResource[], Map<string, ResponseBody>>();
  const versions = new WeakMap<ResourceView, string>();
  const lists = new WeakMap<ResourceView, readonly EncodedResource[]>();
  let count = 0;

  const nextNonce = (): string => (++count).toString(36);

  function diff(from: ResourceView, to: ResourceView): ViewDiff {
    if (from === to) return emptyDiff;
    const known = diffs.get(to) ?? new WeakMap<ResourceView, ViewDiff>();
    diffs.set(to, known);
    const found = known.get(from) ?? diffLayers(from, to) ?? diffViews(from, to);
    known.set(from, found);
    return found;
  }

  /** What differs between two views that lie over shared ones is named by the differences of their layers. */
  function diffLayers(from: ResourceView, to: ResourceView): ViewDiff | undefined {
    const [before, after] = [layersOf(from), layersOf(to)];
    if (from === emptyView || (!before && !after)) return undefined;
    const parts = [
      diff(before?.under ?? from, after?.under ?? to),
      diffViews(before?.over ?? emptyView, after?.over ?? emptyView),
    ];
    const names = new Set(parts.flatMap(({ changed, removed }) => [...changed.map(({ name }) => name), ...removed]));
    const changed: EncodedResource[] = [];
    const removed: string[] = [];
    for (const name of names) {
      const [old, now] = [from.resources.get(name), to.resources.get(name)];
      if (now && old?.version !== now.version) changed.push(now);
      else if (old && !now) removed.push(name);
    }
    // One list for all whose own layers have no part in it: its bytes are made once.
    const [shared] = parts;
    const same =
      shared && changed.length === shared.changed.length && changed.every((each, i) => each === shared.changed[i]);
    return { changed: same ? shared.changed : changed, removed };
  }

  return {
    diff,

    diffKnown(versions, to) {
      const known = knownDiffs.get(versions) ?? new WeakMap<ResourceView, ViewDiff>();
      knownDiffs.set(versions, known);
      const diff = known.get(to) ?? diffVersions(versions, to);
      known.set(to, diff);
      return diff;
    },

    delta({ typeUrl, changed, removed }) {
      if (changed === nothing) return toDeltaBodies({ typeUrl, changed, removed }, nextNonce);
      // Lists that are asked for again are the very ones of a shared diff. What one stream alone has is remembered no
      // longer than by it: a client may make up as many names as it likes.
      const gone = removed.length === 0 ? nothing : removed;
      const byType = deltas.get(changed) ?? new Map<string, WeakMap<readonly string[], readonly ResponseBody[]>>();
      deltas.set(changed, byType);
      const known = byType.get(typeUrl) ?? new WeakMap<readonly string[], readonly ResponseBody[]>();
      byType.set(typeUrl, known);
      const bodies = known.get(gone) ?? toDeltaBodies({ typeUrl, changed, removed }, nextNonce);
      known.set(gone, bodies);
      return bodies;
    },

    sotw({ typeUrl, version, resources }) {
      const key = `${typeUrl} ${version}`;
      const known = sotws.get(resources) ?? new Map<string, ResponseBody>();
      sotws.set(resources, known);
      const body = known.get(key) ?? toSotwBody({ typeUrl, version, resources }, nextNonce());
      known.set(key, body);
      return body;
    },

    versionOf(view) {
      const version = versions.get(view) ?? hashVersions(view.resources.values());
      versions.set(view, version);
      return version;
    },

    listOf(view) {
      const list = lists.get(view) ?? [...view.resources.values()];
      lists.set(view, list);
      return list;
    },
  };
}

/** The version of a state: a hash of what is in it, whatever its order. */
export function hashVersions(resources: Iterable<EncodedResource>): string {
  const lines = Array.from(resources, ({ name, version }) => `${name}\u0000${version}\n`).sort();
  const hash = createHash('sha256');
  for (const line of lines) hash.update(line);
  return hash.digest('base64url').slice(0, 16);
}

/** Most of what two views have stands in the same order in both: what is alike at the front and at the back is passed over. */
function diffViews(from: ResourceView, to: ResourceView): ViewDiff {
  const [before, after] = [[...from.resources.values()], [...to.resources.values()]];
  const shorter = Math.min(before.length, after.length);
  let start = 0;
  while (start < shorter && before[start] === after[start]) start++;
  let end = 0;
  while (end < shorter - start && before[before.length - 1 - end] === after[after.length - 1 - end]) end++;
  const changed = after
    .slice(start, after.length - end)
    .filter(({ name, version }) => from.resources.get(name)?.version !== version);
  const removed = before
    .slice(start, before.length - end)
    .filter(({ name }) => !to.resources.has(name))
    .map(({ name }) => name);
  return { changed, removed };
}

function diffVersions(from: ReadonlyMap<string, string>, to: ResourceView): ViewDiff {
  const changed = [...to.resources.values()].filter(({ name, version }) => from.get(name) !== version);
  const removed = [...from.keys()].filter((name) => !to.resources.has(name));
  return { changed, removed };
}

function toDeltaBodies({ typeUrl, changed, removed }: DeltaContent, nextNonce: () => string): ResponseBody[] {
  const bodies: ResponseBody[] = [];
  const type = toStringField(4, typeUrl);
  let parts: Buffer[] = [type];
  let names: string[] = [];
  let inPart = { changed: 0, removed: 0, size: 0 };

  function close(): void {
    const nonce = nextNonce();
    parts.push(toStringField(5, nonce));
    const { changed: added, removed: gone } = inPart;
    bodies.push({ typeUrl, nonce, bytes: Buffer.concat(parts), changed: added, removed: gone, names });
    parts = [type];
    names = [];
    inPart = { changed: 0, removed: 0, size: 0 };
  }

  function add(bytes: Buffer, name: string, kind: 'changed' | 'removed'): void {
    if (inPart.size > 0 && inPart.size + bytes.length > maxBody) close();
    parts.push(bytes);
    if (names.length < maxNames) names.push(name);
    inPart[kind] += 1;
    inPart.size += bytes.length;
  }

  for (const resource of changed) add(framedBytes(resource), resource.name, 'changed');
  for (const name of removed) add(toStringField(6, name), name, 'removed');
  if (inPart.size > 0 || bodies.length === 0) close();
  return bodies;
}

const maxNames = 20;

function toSotwBody({ typeUrl, version, resources }: SotwContent, nonce: string): ResponseBody {
  const bytes = Buffer.concat([
    toStringField(1, version),
    ...resources.map(({ any }) => toBytesField(2, any)),
    toStringField(4, typeUrl),
    toStringField(5, nonce),
  ]);
  const names = resources.slice(0, maxNames).map(({ name }) => name);
  return { typeUrl, nonce, bytes, changed: resources.length, removed: 0, names };
}
