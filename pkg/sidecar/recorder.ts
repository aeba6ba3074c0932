import type { Attributes } from '@opentelemetry/api';
import type { Counter, Gauge, Histogram, Metrics } from '../observability/metrics.ts';
import type { HopSpan } from '../observability/tracing.ts';
import type { Call } from './call.ts';
import { outsideNamespace } from './rule-egress.ts';
import { toHopTrace } from './trace-context.ts';
import type { HopTrace, IncomingTrace, RandomHex } from './trace-context.ts';

/** The HTTP half of a call, as it was asked and answered. */
export interface HttpFacts {
  readonly method: string;
  readonly path: string;
  readonly query: string;
  readonly authority: string;
  readonly version: '1.0' | '1.1' | '2';
  readonly userAgent?: string;
  readonly grpc?: { readonly service: string; readonly method: string };
  /** Lines of the headers that the policy in force looks at, by name. */
  headers?: readonly (readonly [name: string, lines: readonly string[]])[] | undefined;
  status: number;
  grpcStatus?: number;
}

export interface Ending {
  readonly call: Call;
  readonly trace: HopTrace;
  /** Milliseconds since the epoch. */
  readonly startedAt: number;
  readonly http?: HttpFacts;
  /** What went wrong, in one word: `timeout`, `reset`, `connect`. */
  readonly error?: string;
}

/** Turns ended calls into counts and, when their trace is sampled, into spans. */
export interface Recorder {
  trace(incoming: IncomingTrace): HopTrace;
  now(): number;
  end(ending: Ending): void;
  /** Counts an open connection; the returned function ends it. */
  connection(direction: Call['direction'], kind: 'http1' | 'http2' | 'tcp'): () => void;
  /** A handshake or a first byte that never became a call. */
  refused(direction: Call['direction'], why: string): void;
}

export interface RecorderOptions {
  readonly metrics: Metrics;
  readonly record: (span: HopSpan) => void;
  readonly sampling: () => number;
  readonly randomHex: RandomHex;
  readonly now: () => number;
}

export function createRecorder({ metrics, record, sampling, randomHex, now }: RecorderOptions): Recorder {
  const count = createCounts(metrics);
  const open: Gauge = metrics.gauge('tulle_connections', 'Connections that are open.', ['direction', 'kind']);
  const refusals = metrics.counter('tulle_connections_refused_total', 'Connections that ended before a request.', [
    'direction',
    'why',
  ]);

  return {
    now,
    trace: (incoming) => toHopTrace(incoming, sampling(), randomHex),
    end(ending) {
      const { call, startedAt, http, trace } = ending;
      const endedAt = now();
      const code = http ? String(http.status) : ending.error === undefined ? '0' : 'error';
      count(call, code, Math.max(0, endedAt - startedAt) / 1000);
      if (trace.sampled) record(toSpan(ending, endedAt));
    },
    connection(direction, kind) {
      open.add(1, { direction, kind });
      let ended = false;
      return () => {
        if (!ended) open.add(-1, { direction, kind });
        ended = true;
      };
    },
    refused: (direction, why) => refusals.inc({ direction, why }),
  };
}

/** Sets of labels that are looked up by one key; more are looked up anew. */
const maxCounts = 1_000;

interface Count {
  readonly requests: ReturnType<Counter['child']>;
  readonly durations: ReturnType<Histogram['child']>;
}

function createCounts(metrics: Metrics): (call: Call, code: string, seconds: number) => void {
  const requests = metrics.counter('tulle_requests_total', 'Requests and TCP connections, by what became of them.', [
    'direction',
    'source',
    'service',
    'backend',
    'code',
    'verdict',
    'reason',
  ]);
  const durations = metrics.histogram(
    'tulle_request_duration_seconds',
    'From the head of a request to the end of its answer.',
    ['direction', 'service', 'backend'],
  );
  const counts = new Map<string, Count>();

  return ({ direction, source, service, backend = '', verdict, reason = '' }, code, seconds) => {
    const key = `${direction} ${source} ${service} ${backend} ${code} ${verdict} ${reason}`;
    let count = counts.get(key);
    if (count === undefined) {
      if (counts.size >= maxCounts) counts.clear();
      count = {
        requests: requests.child({ direction, source, service, backend, code, verdict, reason }),
        durations: durations.child({ direction, service, backend }),
      };
      counts.set(key, count);
    }
    count.requests.inc();
    count.durations.observe(seconds);
  };
}

/** `ns/name:port` as people and browsers write it: `name.ns`, port. */
function toHost(service: string): { host: string; port: number } {
  const colon = service.lastIndexOf(':');
  const [namespace = '', name = ''] = service.slice(0, colon).split('/');
  return {
    host: namespace === outsideNamespace ? name : `${name}.${namespace}`,
    port: Number(service.slice(colon + 1)),
  };
}

function toSpan({ call, trace, startedAt, http, error }: Ending, endedAt: number): HopSpan {
  const { host, port } = toHost(call.service);
  const failed = error ?? (call.verdict === 'denied' ? call.reason : undefined) ?? toHttpError(http);
  const attributes: Attributes = {
    'server.address': host,
    'server.port': port,
    'tulle.direction': call.direction,
    'tulle.service': call.service,
    'tulle.verdict': call.verdict,
  };
  set(attributes, 'tulle.source', call.source);
  set(attributes, 'tulle.split', call.split);
  set(attributes, 'tulle.backend', call.backend);
  set(attributes, 'tulle.destination', call.destination);
  set(attributes, 'tulle.pod', call.pod);
  set(attributes, 'tulle.rule', call.rule);
  set(attributes, 'tulle.reason', call.reason);
  set(attributes, 'tulle.mode', call.mode);
  set(attributes, 'error.type', failed);
  if (call.shadow && call.shadow.length > 0) attributes['tulle.shadow'] = [...call.shadow];
  if (http) setHttp(attributes, http);
  return {
    traceId: trace.traceId,
    spanId: trace.spanId,
    ...(trace.parentSpanId === undefined ? {} : { parentSpanId: trace.parentSpanId }),
    kind: call.direction === 'outbound' ? 'client' : 'server',
    name: http ? `${http.method} ${host}:${port}` : `${host}:${port}`,
    startTime: startedAt,
    endTime: Math.max(startedAt, endedAt),
    attributes,
    ...(failed === undefined ? {} : { error: failed }),
  };
}

/** OpenTelemetry semantic conventions for HTTP and gRPC. */
function setHttp(attributes: Attributes, http: HttpFacts): void {
  attributes['http.request.method'] = http.method;
  attributes['url.path'] = http.path;
  attributes['http.response.status_code'] = http.status;
  attributes['network.protocol.version'] = http.version;
  set(attributes, 'url.query', http.query);
  set(attributes, 'user_agent.original', http.userAgent);
  for (const [name, lines] of http.headers ?? []) {
    attributes[`http.request.header.${name}`] = [...lines];
  }
  if (!http.grpc) return;
  attributes['rpc.system'] = 'grpc';
  attributes['rpc.service'] = http.grpc.service;
  attributes['rpc.method'] = http.grpc.method;
  if (http.grpcStatus !== undefined) attributes['rpc.grpc.status_code'] = http.grpcStatus;
}

function toHttpError(http: HttpFacts | undefined): string | undefined {
  return http && http.status >= 500 ? String(http.status) : undefined;
}

function set(attributes: Attributes, name: string, value: string | undefined): void {
  if (value !== undefined && value !== '') attributes[name] = value;
}
