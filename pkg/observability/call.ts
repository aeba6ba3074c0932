import type { Span } from './span.ts';
import { numberOf, podOf, startMs, textOf } from './span.ts';

export type Verdict = 'allowed' | 'denied' | 'would-deny';

/** On an answer of `GET /api/requests`: from when on the calls are all there, where that is not as far back as was asked. */
export const recordedSinceHeader = 'tulle-recorded-since';

/**
 * One request (or TCP connection) that a sidecar reported: what `tulle whatif` replays, what `tulle suggest` reads, a row of
 * `GET /api/requests`. Empty text: not known.
 */
export interface Call {
  /** When it began, milliseconds since 1970. */
  readonly time: number;
  readonly durationMs: number;
  readonly traceId: string;
  readonly spanId: string;
  /** Whose span it is: the client's sidecar sees more (split, backend), the server's knows the rule. */
  readonly observer: 'client' | 'server';
  /** `namespace/serviceaccount`; empty: a peer without sidecar. */
  readonly source: string;
  /** `namespace/name:port`. */
  readonly service: string;
  readonly protocol: 'http' | 'grpc' | 'tcp';
  /** `namespace/serviceaccount` of the endpoint. */
  readonly destination: string;
  /** `namespace/name` of the TrafficSplit, and the Service that it chose. */
  readonly split: string;
  readonly backend: string;
  /** `namespace/pod` of the server. */
  readonly serverPod: string;
  readonly method: string;
  /** As sent, with its query. */
  readonly path: string;
  readonly authority: string;
  /** Those that the sidecar was told to record, lower case. */
  readonly headers: Readonly<Record<string, string>>;
  readonly status: number | undefined;
  readonly verdict: Verdict;
  /** DenyReason of pkg/policy, or another code of the sidecar. */
  readonly reason: string;
  /** `namespace/name` of the TrafficTarget that allowed it. */
  readonly rule: string;
  readonly mode: string;
  /** Failed for another reason than policy: 5xx, a gRPC error, a broken connection. */
  readonly error: boolean;
}

/** What a sidecar's span says of a call; undefined for a span that is no sidecar's. */
export function toCall(span: Span): Call | undefined {
  const tags = span.attributes;
  const text = (key: string): string => textOf(tags, key) ?? '';
  const direction = text('tulle.direction');
  if (direction !== 'outbound' && direction !== 'inbound') return undefined;
  const observer = direction === 'outbound' ? 'client' : 'server';
  const status = numberOf(tags, 'http.response.status_code');
  const verdict = toVerdict(text('tulle.verdict'));
  const query = text('url.query');
  return {
    time: startMs(span),
    durationMs: Math.max(0, span.durationNs) / 1_000_000,
    traceId: span.traceId,
    spanId: span.spanId,
    observer,
    source: text('tulle.source'),
    service: text('tulle.service'),
    protocol: toProtocol(span),
    destination: text('tulle.destination'),
    split: text('tulle.split'),
    backend: text('tulle.backend'),
    serverPod: observer === 'client' ? text('tulle.pod') : (podOf(span.resource) ?? ''),
    method: text('http.request.method'),
    path: text('url.path') + (query === '' ? '' : `?${query}`),
    authority: text('server.address'),
    headers: toHeaders(span),
    status,
    verdict,
    reason: text('tulle.reason'),
    rule: text('tulle.rule'),
    mode: text('tulle.mode'),
    error: verdict !== 'denied' && (span.status === 'error' || (status !== undefined && status >= 500)),
  };
}

/**
 * One call seen from both ends: the client's sidecar knows how it was routed and how long it took, the server's which rule
 * allowed it.
 */
export function mergeCalls(client: Call, server: Call): Call {
  const verdict = client.verdict === 'denied' ? 'denied' : server.verdict;
  return {
    ...client,
    source: client.source === '' ? server.source : client.source,
    destination: client.destination === '' ? server.destination : client.destination,
    serverPod: client.serverPod === '' ? server.serverPod : client.serverPod,
    headers: { ...server.headers, ...client.headers },
    verdict,
    reason: client.reason === '' ? server.reason : client.reason,
    rule: server.rule === '' ? client.rule : server.rule,
    mode: server.mode === '' ? client.mode : server.mode,
    error: verdict !== 'denied' && client.error,
  };
}

function toVerdict(text: string): Verdict {
  return text === 'denied' || text === 'would-deny' ? text : 'allowed';
}

function toProtocol({ attributes }: Span): Call['protocol'] {
  if (textOf(attributes, 'rpc.system') === 'grpc') return 'grpc';
  return textOf(attributes, 'http.request.method') === undefined ? 'tcp' : 'http';
}

const headerPrefix = 'http.request.header.';

function toHeaders({ attributes }: Span): Record<string, string> {
  const headers: Record<string, string> = {};
  for (const { key, value } of attributes) {
    // A list, by the semantic conventions: kept as JSON text.
    if (key.startsWith(headerPrefix)) headers[key.slice(headerPrefix.length)] = toHeaderText(String(value));
  }
  const agent = textOf(attributes, 'user_agent.original');
  if (agent !== undefined) headers['user-agent'] = agent;
  return headers;
}

function toHeaderText(value: string): string {
  if (!value.startsWith('[')) return value;
  try {
    const lines: unknown = JSON.parse(value);
    return Array.isArray(lines) ? lines.join('\n') : value;
  } catch {
    return value;
  }
}
