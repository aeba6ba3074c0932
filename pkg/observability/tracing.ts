import { Agent as HttpAgent } from 'node:http';
import { ROOT_CONTEXT, SpanKind, SpanStatusCode, TraceFlags, trace } from '@opentelemetry/api';
import type { Attributes, SpanContext } from '@opentelemetry/api';
import { OTLPTraceExporter } from '@opentelemetry/exporter-trace-otlp-proto';
import { resourceFromAttributes } from '@opentelemetry/resources';
import { AlwaysOnSampler, BasicTracerProvider, BatchSpanProcessor } from '@opentelemetry/sdk-trace-base';
import type { ReadableSpan, Span, SpanExporter, SpanProcessor } from '@opentelemetry/sdk-trace-base';

/** One finished hop of a sampled trace. Times are milliseconds since the epoch. */
export interface HopSpan {
  readonly traceId: string;
  readonly spanId: string;
  readonly parentSpanId?: string;
  readonly kind: 'client' | 'server';
  readonly name: string;
  readonly startTime: number;
  readonly endTime: number;
  readonly attributes: Attributes;
  /** Present: the span has status ERROR, with this text. */
  readonly error?: string;
}

export interface Tracing {
  record(span: HopSpan): void;
  readonly counts: TracingCounts;
  /** Sends what is queued, within the exporter's timeout. */
  shutdown(): Promise<void>;
}

export interface TracingCounts {
  readonly recorded: number;
  readonly sent: number;
  /** Dropped because a queue was full, or refused by a receiver, counted per receiver. */
  readonly lost: number;
}

export interface TracingOptions {
  /** `service.name`, `service.namespace`, `k8s.pod.name`, … */
  readonly resource: Readonly<Record<string, string>>;
  /** Receivers of OTLP/HTTP: `unix:/run/x/otlp.sock` (POST /v1/traces there) or a base URL as in OTEL_EXPORTER_OTLP_ENDPOINT. */
  readonly receivers: readonly string[];
  /** Spans that wait for each receiver at most. */
  readonly maxQueue?: number;
  readonly delayMillis?: number;
}

const scope = 'tulle-sidecar';

/**
 * OpenTelemetry, composed by hand: a span is made when its hop has ended, and only when its trace is sampled,
 * so that a request that is not costs nothing. Sampling itself is decided by who records (DECISIONS E8).
 */
export function createTracing({ resource, receivers, maxQueue = 4096, delayMillis = 500 }: TracingOptions): Tracing {
  const counts = { recorded: 0, sent: 0, lost: 0 };
  let ids = { traceId: '', spanId: '' };
  const provider = new BasicTracerProvider({
    resource: resourceFromAttributes(resource),
    sampler: new AlwaysOnSampler(),
    // The hop has its ids already: it has passed them on.
    idGenerator: {
      generateTraceId: () => ids.traceId,
      generateSpanId: () => ids.spanId,
    },
    spanLimits: { attributeCountLimit: 64, attributeValueLengthLimit: 2048 },
    spanProcessors: receivers.map((receiver) => createReceiver(receiver, { maxQueue, delayMillis }, counts)),
  });
  const tracer = provider.getTracer(scope);

  return {
    counts,
    record({ traceId, spanId, parentSpanId, kind, name, startTime, endTime, attributes, error }) {
      counts.recorded += 1;
      ids = { traceId, spanId };
      const parent: SpanContext | undefined =
        parentSpanId === undefined
          ? undefined
          : {
              traceId,
              spanId: parentSpanId,
              traceFlags: TraceFlags.SAMPLED,
              isRemote: true,
            };
      const context = parent ? trace.setSpanContext(ROOT_CONTEXT, parent) : ROOT_CONTEXT;
      const spanKind = kind === 'client' ? SpanKind.CLIENT : SpanKind.SERVER;
      const span = tracer.startSpan(name, { kind: spanKind, startTime, attributes }, context);
      if (error !== undefined) span.setStatus({ code: SpanStatusCode.ERROR, message: error });
      span.end(endTime);
    },
    shutdown: () => provider.shutdown().catch(() => undefined),
  };
}

function createReceiver(
  receiver: string,
  { maxQueue, delayMillis }: { maxQueue: number; delayMillis: number },
  counts: { sent: number; lost: number },
): SpanProcessor {
  const queue = { waiting: 0 };
  const exporter = countLosses(createExporter(receiver), queue, counts);
  const batch = new BatchSpanProcessor(exporter, {
    // Never the limit that drops: that one is ours, and counts.
    maxQueueSize: maxQueue * 2,
    maxExportBatchSize: 512,
    scheduledDelayMillis: delayMillis,
    exportTimeoutMillis: 10_000,
  });
  return {
    onStart: (span: Span, parent) => batch.onStart(span, parent),
    onEnd(span) {
      if (queue.waiting >= maxQueue) {
        counts.lost += 1;
        return;
      }
      queue.waiting += 1;
      batch.onEnd(span);
    },
    forceFlush: () => batch.forceFlush(),
    shutdown: () => batch.shutdown(),
  };
}

function createExporter(receiver: string): SpanExporter {
  if (receiver.startsWith('unix:')) {
    const socketPath = receiver.slice('unix:'.length);
    return new OTLPTraceExporter({
      url: 'http://localhost/v1/traces',
      timeoutMillis: 5_000,
      httpAgentOptions: () => new HttpAgent({ keepAlive: true, socketPath } as object),
    });
  }
  const url = receiver.replace(/\/+$/, '');
  return new OTLPTraceExporter({
    url: url.endsWith('/v1/traces') ? url : `${url}/v1/traces`,
    timeoutMillis: 5_000,
  });
}

/** Counts what a receiver took and what was lost on the way to it. */
function countLosses(
  exporter: SpanExporter,
  queue: { waiting: number },
  counts: { sent: number; lost: number },
): SpanExporter {
  return {
    export(spans: ReadableSpan[], resultCallback) {
      exporter.export(spans, (result) => {
        queue.waiting -= spans.length;
        if (Number(result.code) === 0) counts.sent += spans.length;
        else counts.lost += spans.length;
        resultCallback(result);
      });
    },
    shutdown: () => exporter.shutdown(),
    forceFlush: async () => exporter.forceFlush?.(),
  };
}
