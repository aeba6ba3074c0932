import type { RequestListener } from 'node:http';
import { createDashboard } from '../dashboard/dashboard.ts';
import type { MeshView } from '../dashboard/mesh-view.ts';
import { createCallLog } from '../observability/call-log.ts';
import type { Logger } from '../observability/logger.ts';
import type { Metrics } from '../observability/metrics.ts';
import { createOtlpForwarder } from '../observability/otlp-forwarder.ts';
import { createOtlpApp } from '../observability/otlp-app.ts';
import { createOtlpReceiver, type OtlpReceiverOptions } from '../observability/otlp-receiver.ts';
import type { Span } from '../observability/span.ts';
import { createTraceStore } from '../observability/trace-store.ts';
import type { ControllerConfig } from './config.ts';

export interface WebAppsOptions {
  readonly config: Pick<ControllerConfig, 'pageDir' | 'otlpForward'>;
  readonly view: MeshView;
  readonly metrics: Metrics;
  readonly log: Logger;
  readonly signal: AbortSignal;
  /** Whether who sent the request may report this span; absent: anybody. */
  readonly mayReport?: NonNullable<OtlpReceiverOptions['mayReport']>;
  /** Hands spans on to the other replicas, where there are any. */
  readonly relay?: (body: Buffer, contentType: string) => void;
  /** What is kept of traffic; absent: as much as a laptop can spare. */
  readonly bounds?: { readonly spans: number; readonly bytes: number; readonly calls: number };
}

/** What the control plane serves over HTTP: the page with its API, and the receiver of spans for the sidecars' socket. */
export interface WebApps {
  readonly dashboard: RequestListener;
  readonly otlp: RequestListener;
  /** The same for what another replica hands on: it is kept here and goes nowhere else. */
  readonly relayed: RequestListener;
}

export function createWebApps(options: WebAppsOptions): WebApps {
  const { config, view, metrics, log, signal, relay, bounds, mayReport } = options;
  const now = Date.now;
  const traces = createTraceStore({ now, ...(bounds ? { maxSpans: bounds.spans, maxBytes: bounds.bytes } : {}) });
  const calls = createCallLog({ now, ...(bounds ? { maxCalls: bounds.calls } : {}) });
  traces.subscribe((spans) => calls.add(spans));
  const rejected = metrics.counter('tulle_otlp_rejected_spans_total', 'Spans that could not be used');
  const lost = metrics.counter('tulle_otlp_forward_lost_total', 'Exports that the collector of the user did not take');
  const forwarder =
    config.otlpForward === undefined
      ? undefined
      : createOtlpForwarder({
          url: config.otlpForward,
          signal,
          onLost: (exports) => lost.inc({}, exports),
          onComplaint: (reason) => log.warn('spans could not be sent on', { reason }),
        });
  const onSpans = (spans: readonly Span[]): void => traces.add(spans);
  const receiver = createOtlpReceiver({
    onSpans,
    onRejected: (spans, reason) => {
      rejected.inc({}, spans);
      log.debug('spans refused', { spans, reason });
    },
    ...(mayReport ? { mayReport } : {}),
    onExport(body, contentType, spans) {
      forwarder?.send(body, contentType);
      if (spans > 0) relay?.(body, contentType);
    },
  });
  const dashboard = createDashboard({
    view,
    traces,
    calls,
    signal,
    now,
    receiver,
    metrics: () => metrics.render(),
    ...(config.pageDir === undefined ? {} : { pageDir: config.pageDir }),
  });
  return { dashboard, otlp: createOtlpApp(receiver), relayed: createOtlpApp(createOtlpReceiver({ onSpans })) };
}
