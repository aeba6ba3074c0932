import type { Span, SpanKind, Tag } from './span.ts';

export interface SpanFixture {
  readonly trace: number;
  readonly span: number;
  readonly parent?: number;
  readonly name?: string;
  readonly kind?: SpanKind;
  readonly service?: string;
  /** `namespace/pod`. */
  readonly pod?: string;
  /** Milliseconds since 1970, and how long it lasts. */
  readonly at?: number;
  readonly ms?: number;
  readonly status?: Span['status'];
  readonly attributes?: Readonly<Record<string, string | number | boolean>>;
}

const hex = (value: number, length: number): string => value.toString(16).padStart(length, '0');

/** A span for tests: ids are small numbers, the rest has defaults. */
export function makeSpan(fixture: SpanFixture): Span {
  const { trace, span, parent, name = 'op', kind = 'internal', service = 'app', pod, at = 0, ms = 1 } = fixture;
  const [namespace, podName] = pod?.split('/') ?? [];
  return {
    traceId: hex(trace, 32),
    spanId: hex(span, 16),
    parentSpanId: parent === undefined ? '' : hex(parent, 16),
    traceState: '',
    name,
    kind,
    startNs: BigInt(Math.round(at * 1_000)) * 1_000n,
    durationNs: Math.round(ms * 1_000_000),
    attributes: toTags(fixture.attributes ?? {}),
    events: [],
    links: [],
    status: fixture.status ?? 'unset',
    statusMessage: '',
    resource: {
      service,
      attributes: toTags(
        namespace === undefined || podName === undefined
          ? {}
          : { 'service.namespace': namespace, 'k8s.pod.name': podName },
      ),
    },
    scope: { name: '', version: '' },
  };
}

function toTags(attributes: Readonly<Record<string, string | number | boolean>>): Tag[] {
  return Object.entries(attributes).map(([key, value]) => ({
    key,
    type: typeof value === 'string' ? 'string' : typeof value === 'boolean' ? 'bool' : 'int64',
    value,
  }));
}
