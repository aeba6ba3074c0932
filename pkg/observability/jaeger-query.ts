import type { NextFunction, Request, Response, Router } from 'express';
import express from 'express';
import { durationOf, parentOf, toJaegerTags, toJaegerTrace, toJaegerTraceId } from './jaeger-json.ts';
import type { TraceQuery } from './jaeger-params.ts';
import { BadQuery, parseDependencyQuery, parseTraceId, parseTraceQuery } from './jaeger-params.ts';
import type { Span, Tag } from './span.ts';
import type { StoredTrace, TraceStore } from './trace-store.ts';
import { serviceOf } from './trace-store.ts';

interface JaegerError {
  readonly code?: number;
  readonly msg: string;
  readonly traceID?: string;
}

/**
 * Jaeger's query API over a trace store: `/services`, `/services/{s}/operations`, `/operations`, `/traces`, `/traces/{id}`,
 * `/dependencies`, to be mounted at `/api`. Answers as Jaeger 1.76 does (test/jaeger compares them), so that its clients,
 * Grafana's data source among them, read it.
 */
export function createJaegerQuery(store: TraceStore, now: () => number): Router {
  const router = express.Router();
  router.get('/services', (_request, response) => sendList(response, store.services()));
  router.get('/services/:service/operations', (request, response) => {
    const names = store.operations(request.params.service).map(({ name }) => name);
    sendList(response, [...new Set(names)].sort());
  });
  router.get('/operations', (request, response) => {
    const params = paramsOf(request);
    const service = params.get('service') ?? '';
    if (service === '') throw new BadQuery("parameter 'service' is required");
    const wanted = params.get('spanKind') ?? '';
    const operations = store
      .operations(service)
      .map(({ name, kind }) => ({ name, spanKind: kind === 'unspecified' ? '' : kind }))
      .filter(({ spanKind }) => wanted === '' || spanKind === wanted);
    sendList(response, operations);
  });
  router.get('/traces', (request, response) =>
    searchTraces(store, parseTraceQuery(paramsOf(request), now()), response),
  );
  router.get('/traces/:id', (request, response) => {
    const params = paramsOf(request);
    for (const name of ['start', 'end'])
      parseDependencyQuery(new URLSearchParams({ endTs: params.get(name) ?? '' }), 0);
    const trace = store.trace(parseTraceId(request.params.id));
    if (trace === undefined) sendErrors(response, 404, [{ code: 404, msg: 'trace not found' }]);
    else send(response, { data: [toJaegerTrace(trace.spans)] });
  });
  router.get('/dependencies', (request, response) => {
    const params = paramsOf(request);
    const { startNs, endNs } = parseDependencyQuery(params, now());
    const links = dependencies(store.traces(), startNs, endNs);
    const service = params.get('service') ?? '';
    send(response, {
      data: links.filter(({ parent, child }) => service === '' || parent === service || child === service),
    });
  });
  router.use((error: unknown, _request: Request, response: Response, next: NextFunction) => {
    if (error instanceof BadQuery) sendErrors(response, 400, [{ code: 400, msg: error.message }]);
    else next(error);
  });
  return router;
}

function paramsOf(request: Request): URLSearchParams {
  const { url } = request;
  const mark = url.indexOf('?');
  return new URLSearchParams(mark < 0 ? '' : url.slice(mark + 1));
}

function sendList(response: Response, items: readonly unknown[]): void {
  send(response, { data: items.length === 0 ? null : items, total: items.length });
}

function send(
  response: Response,
  part: { data: unknown; total?: number; errors?: readonly JaegerError[] | null },
): void {
  response.json({ data: part.data, total: part.total ?? 0, limit: 0, offset: 0, errors: part.errors ?? null });
}

function sendErrors(response: Response, status: number, errors: readonly JaegerError[]): void {
  response.status(status).type('text/plain');
  response.send(`${JSON.stringify({ data: null, total: 0, limit: 0, offset: 0, errors })}\n`);
}

function searchTraces(store: TraceStore, query: TraceQuery, response: Response): void {
  if (query.traceIds.length > 0) {
    const found: StoredTrace[] = [];
    const errors: JaegerError[] = [];
    for (const id of query.traceIds) {
      const trace = store.trace(id);
      if (trace === undefined) errors.push({ msg: 'trace not found', traceID: toJaegerTraceId(id) });
      else found.push(trace);
    }
    send(response, {
      data: found.map(({ spans }) => toJaegerTrace(spans)),
      errors: errors.length === 0 ? null : errors,
    });
    return;
  }
  const matching = store.traces(query.service).filter(({ spans }) => spans.some((span) => isMatch(span, query)));
  const limited = query.limit > 0 && matching.length > query.limit ? newest(matching, query.limit) : matching;
  send(response, { data: limited.map(({ spans }) => toJaegerTrace(spans)) });
}

function newest(traces: StoredTrace[], limit: number): StoredTrace[] {
  const start = ({ spans }: StoredTrace): bigint => spans[0]?.startNs ?? 0n;
  return traces.sort((a, b) => (start(a) > start(b) ? -1 : start(a) < start(b) ? 1 : 0)).slice(0, limit);
}

function isMatch(span: Span, query: TraceQuery): boolean {
  if (serviceOf(span) !== query.service) return false;
  if (query.operation !== '' && span.name !== query.operation) return false;
  const duration = durationOf(span);
  if (query.minDuration !== 0 && duration < query.minDuration) return false;
  if (query.maxDuration !== 0 && duration > query.maxDuration) return false;
  if (span.startNs < query.startNs || span.startNs > query.endNs) return false;
  const wanted = Object.entries(query.tags);
  if (wanted.length === 0) return true;
  const tags = [...toJaegerTags(span), ...span.resource.attributes, ...span.events.flatMap(fieldsOf)];
  return wanted.every(([key, value]) => tags.some((tag) => tag.key === key && toTagText(tag) === value));
}

function fieldsOf({ name, attributes }: Span['events'][number]): Tag[] {
  return name === '' ? [...attributes] : [{ key: 'event', type: 'string', value: name }, ...attributes];
}

/** A tag's value as text: binary in hex, floats in ten digits, as Jaeger compares them. */
function toTagText({ type, value }: Tag): string {
  if (type === 'binary') return Buffer.from(String(value), 'base64').toString('hex');
  return type === 'float64' ? String(Number(Number(value).toPrecision(10))) : String(value);
}

interface DependencyLink {
  readonly parent: string;
  readonly child: string;
  readonly callCount: number;
}

/** How often a span of one service is the child of a span of another, over traces with a span in the window. */
function dependencies(traces: readonly StoredTrace[], startNs: bigint, endNs: bigint): DependencyLink[] {
  const counts = new Map<string, { parent: string; child: string; callCount: number }>();
  for (const { spans } of traces) {
    if (!spans.some((span) => span.startNs > startNs && span.startNs < endNs)) continue;
    const byId = new Map<string, Span>();
    for (const span of spans) if (!byId.has(span.spanId)) byId.set(span.spanId, span);
    for (const span of spans) {
      const parent = byId.get(parentOf(span));
      if (parent === undefined || serviceOf(parent) === serviceOf(span)) continue;
      const link = { parent: serviceOf(parent), child: serviceOf(span), callCount: 0 };
      const key = JSON.stringify([link.parent, link.child]);
      const known = counts.get(key) ?? link;
      known.callCount += 1;
      counts.set(key, known);
    }
  }
  return [...counts.values()];
}
