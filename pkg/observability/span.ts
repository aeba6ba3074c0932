/** What an attribute holds, in Jaeger's words. Lists and maps are kept as JSON text, as Jaeger does. */
export type TagType = 'string' | 'bool' | 'int64' | 'float64' | 'binary';

export interface Tag {
  readonly key: string;
  readonly type: TagType;
  /** An int64 beyond 2^53 is its decimal text; binary is base64. */
  readonly value: string | number | boolean;
}

export type SpanKind = 'unspecified' | 'internal' | 'server' | 'client' | 'producer' | 'consumer';

export interface SpanEvent {
  readonly name: string;
  readonly timeNs: bigint;
  readonly attributes: readonly Tag[];
}

export interface SpanLink {
  readonly traceId: string;
  readonly spanId: string;
  readonly attributes: readonly Tag[];
}

/** Who made a span: one object shared by all spans that came with it. */
export interface SpanResource {
  /** `service.name`; undefined when the resource has none. */
  readonly service: string | undefined;
  /** All but `service.name`. */
  readonly attributes: readonly Tag[];
}

export interface SpanScope {
  readonly name: string;
  readonly version: string;
}

/** A finished span, decoded and checked: ids are lower-case hex of full length and not zero. */
export interface Span {
  readonly traceId: string;
  readonly spanId: string;
  /** Empty for a root. */
  readonly parentSpanId: string;
  readonly traceState: string;
  readonly name: string;
  readonly kind: SpanKind;
  readonly startNs: bigint;
  /** Negative when the clock went back. */
  readonly durationNs: number;
  readonly attributes: readonly Tag[];
  readonly events: readonly SpanEvent[];
  readonly links: readonly SpanLink[];
  readonly status: 'unset' | 'ok' | 'error';
  readonly statusMessage: string;
  readonly resource: SpanResource;
  readonly scope: SpanScope;
}

function findTag(tags: readonly Tag[], key: string): Tag | undefined {
  return tags.find((tag) => tag.key === key);
}

/** The text of an attribute; undefined when it isn't there or isn't text. */
export function textOf(tags: readonly Tag[], key: string): string | undefined {
  const value = findTag(tags, key)?.value;
  return typeof value === 'string' ? value : undefined;
}

export function numberOf(tags: readonly Tag[], key: string): number | undefined {
  const value = findTag(tags, key)?.value;
  return typeof value === 'number' ? value : undefined;
}

/** `namespace/pod` of the sidecar or app that made the span. */
export function podOf(resource: SpanResource): string | undefined {
  const namespace = textOf(resource.attributes, 'service.namespace');
  const pod = textOf(resource.attributes, 'k8s.pod.name');
  return pod === undefined ? undefined : `${namespace ?? 'default'}/${pod}`;
}

export function startMs(span: Span): number {
  return Number(span.startNs / 1_000_000n);
}

/** About how much memory a span takes: bounds need no more than that. */
export function sizeOf(span: Span): number {
  let size = 300 + span.name.length + span.statusMessage.length + span.traceState.length + sizeOfTags(span.attributes);
  for (const event of span.events) size += 80 + event.name.length + sizeOfTags(event.attributes);
  for (const link of span.links) size += 120 + sizeOfTags(link.attributes);
  return size;
}

function sizeOfTags(tags: readonly Tag[]): number {
  let size = 0;
  for (const { key, value } of tags) size += 48 + key.length + (typeof value === 'string' ? value.length : 8);
  return size;
}
