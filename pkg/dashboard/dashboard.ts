import type { ErrorRequestHandler, Express, Request, Response, Router } from 'express';
import express from 'express';
import { recordedSinceHeader } from '../observability/call.ts';
import type { CallLog } from '../observability/call-log.ts';
import { parseGoDuration } from '../observability/go-duration.ts';
import { createJaegerQuery } from '../observability/jaeger-query.ts';
import { parseTraceId } from '../observability/jaeger-params.ts';
import { createTraceJudge } from '../observability/trace-judge.ts';
import type { TraceStore, TraceStoreStats } from '../observability/trace-store.ts';
import { createChangeStream } from './change-stream.ts';
import { guardLoopback } from './loopback-guard.ts';
import type { MeshState, MeshView } from './mesh-view.ts';
import type { SplitReport } from './split-report.ts';
import { createSplitWatch } from './split-report.ts';
import type { TraceFilter } from './trace-list.ts';
import { listTraces } from './trace-list.ts';

export interface DashboardOptions {
  readonly view: MeshView;
  readonly traces: TraceStore;
  /** Fed from `traces` by the caller: `traces.subscribe((spans) => calls.add(spans))`. */
  readonly calls: CallLog;
  /** Ends all event streams. */
  readonly signal: AbortSignal;
  /** Milliseconds since 1970. */
  readonly now: () => number;
  /** Folder of the built page; absent: the API alone. */
  readonly pageDir?: string;
  /** `POST /v1/traces` (`createOtlpReceiver`). */
  readonly receiver?: Router;
  /** Prometheus text for `/metrics`. */
  readonly metrics?: () => string;
}

/** The answer of `GET /api/mesh`. */
export interface MeshReport extends Omit<MeshState, 'splits'> {
  readonly splits: readonly SplitReport[];
  readonly store: TraceStoreStats;
}

/**
 * The page and the HTTP API of a mesh, to be listened with on a loopback address:
 * `/api/mesh`, `/api/flows`, `/api/requests`, `/api/summaries`, `/api/events`, Jaeger's query API under `/api`, `/healthz`, `/metrics`.
 */
export function createDashboard(options: DashboardOptions): Express {
  const { view, traces, calls, signal, now } = options;
  const judge = createTraceJudge(traces, now);
  const splits = createSplitWatch(view, calls, now, signal);
  const changes = createChangeStream(signal);
  signal.addEventListener(
    'abort',
    view.subscribe(() => changes.notify('mesh')),
  );
  signal.addEventListener(
    'abort',
    traces.subscribe(() => changes.notify('traffic')),
  );

  const app = express();
  app.disable('x-powered-by');
  app.set('query parser', (text: string) => new URLSearchParams(text));
  app.get('/healthz', (_request, response) => void response.type('text/plain').send('ok\n'));
  app.use(guardLoopback);
  if (options.metrics !== undefined) {
    const { metrics } = options;
    app.get('/metrics', (_request, response) => {
      response.set('content-type', 'text/plain; version=0.0.4; charset=utf-8').send(metrics());
    });
  }
  if (options.receiver !== undefined) app.use(options.receiver);
  app.use('/api', (_request, response, next) => {
    response.set('cache-control', 'no-cache');
    next();
  });
  app.get('/api/mesh', (_request, response) => {
    const report: MeshReport = {
      ...view.state(),
      splits: splits.reports(),
      store: traces.stats(),
    };
    response.json(report);
  });
  app.get('/api/flows', (request, response) => {
    const since = sinceOf(request, response);
    if (since !== undefined) response.json(calls.flows(now() - since));
  });
  app.get('/api/requests', (request, response) => {
    const since = sinceOf(request, response);
    if (since === undefined) return;
    const from = now() - since;
    const requests = calls.requests(from, limitOf(request, 1_000, 50_000));
    if (calls.recordedSince() > from) response.set(recordedSinceHeader, new Date(calls.recordedSince()).toISOString());
    response.json(requests);
  });
  app.get('/api/summaries', (request, response) => {
    const params = paramsOf(request);
    const filter = (params.get('filter') ?? 'all') as TraceFilter;
    if (!filters.includes(filter)) {
      refuse(response, `filter is one of ${filters.join(', ')}`);
      return;
    }
    const text = (params.get('q') ?? '').slice(0, 200);
    const order = params.get('order') === 'newest' ? 'newest' : 'errors';
    response.json(
      listTraces(traces, judge, {
        filter,
        text,
        order,
        limit: limitOf(request, 100, 1_000),
      }),
    );
  });
  app.get('/api/summaries/:id', (request, response) => {
    const trace = traces.trace(parseTraceId(request.params.id));
    if (trace === undefined) response.status(404).json({ error: 'no such trace is kept' });
    else response.json(judge.summary(trace));
  });
  app.get('/api/events', (request, response) => changes.serve(request, response));
  app.use('/api', createJaegerQuery(traces, now));
  app.use('/api', (_request, response) => void response.status(404).json({ error: 'not found' }));
  if (options.pageDir !== undefined) {
    app.use(
      express.static(options.pageDir, {
        fallthrough: true,
        index: 'index.html',
        cacheControl: false,
      }),
    );
  }
  app.use((_request, response) => void response.status(404).type('text/plain').send('not found\n'));
  app.use(onError);
  return app;
}

const filters: readonly TraceFilter[] = ['all', 'errors', 'denied', 'broken', 'incomplete'];

function paramsOf(request: Request): URLSearchParams {
  return request.query as unknown as URLSearchParams;
}

/** Milliseconds of `since`, 10 minutes by default; undefined: answered with 400. */
function sinceOf(request: Request, response: Response): number | undefined {
  const text = paramsOf(request).get('since') ?? '10m';
  const nanoseconds = parseGoDuration(text);
  if (nanoseconds !== undefined && nanoseconds > 0) return nanoseconds / 1_000_000;
  refuse(response, 'since is a duration: 30s, 10m, 1h');
  return undefined;
}

function limitOf(request: Request, fallback: number, most: number): number {
  const limit = Number(paramsOf(request).get('limit') ?? fallback);
  return Number.isInteger(limit) && limit > 0 ? Math.min(limit, most) : fallback;
}

function refuse(response: Response, error: string): void {
  response.status(400).json({ error });
}

const onError: ErrorRequestHandler = (error: { status?: number; message?: string }, _request, response, next) => {
  if (response.headersSent) {
    next(error);
    return;
  }
  const status = error.status ?? (error instanceof Error && error.name === 'BadQuery' ? 400 : 500);
  response.status(status).json({ error: status < 500 ? error.message : 'internal error' });
};
