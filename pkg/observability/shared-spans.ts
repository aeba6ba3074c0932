import type { Span, SpanResource, SpanScope, Tag } from './span.ts';

/**
 * Spans of a mesh say the same few things thousands of times, and each arrives as text of its own. Here what is equal
 * becomes one object, so that what is kept of a span is little more than what only it says. Bounded: who sends ever new
 * texts shares nothing, and fills nothing.
 */
export function createSpanSharing(): (span: Span) => Span {
  const tags = new Map<string, Map<Tag['value'], Tag>>();
  const texts = new Map<string, string>();
  const resources = new Map<string, SpanResource>();
  const scopes = new Map<string, SpanScope>();
  /** A resource comes with many spans: it is looked up once. */
  const known = new WeakMap<SpanResource, SpanResource>();

  function shareTag(tag: Tag): Tag {
    const { key, type, value } = tag;
    if (key.length > longest || (typeof value === 'string' && value.length > longest)) return tag;
    const ofKey = tags.get(key) ?? remember(tags, key, new Map<Tag['value'], Tag>(), maxKeys);
    const found = ofKey.get(value);
    if (found?.type === type) return found;
    return remember(ofKey, value, { key: shareText(key), type, value }, maxValues);
  }

  function shareTags(list: readonly Tag[]): readonly Tag[] {
    return list.length === 0 ? noTags : list.map(shareTag);
  }

  function shareText(text: string): string {
    if (text === '' || text.length > longest) return text;
    return texts.get(text) ?? remember(texts, text, text, maxTexts);
  }

  function shareResource(resource: SpanResource): SpanResource {
    const before = known.get(resource);
    if (before) return before;
    const attributes = shareTags(resource.attributes);
    const key = JSON.stringify([resource.service, attributes]);
    const own = { service: resource.service === undefined ? undefined : shareText(resource.service), attributes };
    const shared =
      resources.get(key) ?? (key.length > longestResource ? own : remember(resources, key, own, maxValues));
    known.set(resource, shared);
    return shared;
  }

  function shareScope({ name, version }: SpanScope): SpanScope {
    const key = `${name}\u0000${version}`;
    if (key.length > longest) return { name, version };
    return scopes.get(key) ?? remember(scopes, key, { name, version }, maxValues);
  }

  return (span) => ({
    ...span,
    name: shareText(span.name),
    traceState: shareText(span.traceState),
    statusMessage: shareText(span.statusMessage),
    attributes: shareTags(span.attributes),
    events: span.events.length === 0 ? nothing : span.events,
    links: span.links.length === 0 ? nothing : span.links,
    resource: shareResource(span.resource),
    scope: shareScope(span.scope),
  });
}

/** Characters; what is longer is hardly said twice. */
const longest = 256;
const longestResource = 4_096;
const maxKeys = 128;
/** Of one key. */
const maxValues = 128;
const maxTexts = 512;

const noTags: readonly Tag[] = [];
const nothing: readonly never[] = [];

/** Begins anew when it is full: what is said now counts, not what was said once. */
function remember<K, V>(map: Map<K, V>, key: K, value: V, max: number): V {
  if (map.size >= max) map.clear();
  map.set(key, value);
  return value;
}
