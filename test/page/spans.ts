import type { Span, SpanKind, SpanResource, Tag } from '../../pkg/observability/span.ts';

/** One hop as both sidecars report it, or the client's alone when it was refused there. */
export interface Hop {
  readonly traceId: string;
  readonly parent: string;
  readonly startMs: number;
  readonly durationMs: number;
  readonly client: Workload;
  readonly server?: Workload;
  /** `namespace/name:port`. */
  readonly service: string;
  readonly method?: string;
  readonly path?: string;
  readonly status?: number;
  readonly split?: string;
  readonly backend?: string;
  readonly verdict?: 'allowed' | 'denied' | 'would-deny';
  readonly reason?: string;
  readonly rule?: string;
}

export interface Workload {
  readonly namespace: string;
  readonly name: string;
  readonly account: string;
}

type Values = Readonly<Record<string, string | number | undefined>>;

/** The spans of a hop, as the sidecars of the mesh write them, and the id that the server's app passes on. */
export function hopSpans(hop: Hop, newId: () => string): { spans: Span[]; serverSpan: string } {
  const { client, server, service, method, status } = hop;
  const [namespace = '', rest = ''] = service.split('/');
  const [name = '', port = ''] = rest.split(':');
  const host = `${name}.${namespace}`;
  const isError = hop.verdict === 'denied' || (status ?? 0) >= 500;
  const shared: Values = {
    'server.address': host,
    'server.port': Number(port),
    'http.request.method': method,
    'url.path': hop.path,
    'http.response.status_code': status,
    'network.protocol.version': method === undefined ? undefined : '1.1',
    'tulle.source': `${client.namespace}/${client.account}`,
    'tulle.service': service,
    'tulle.verdict': hop.verdict ?? 'allowed',
    'tulle.reason': hop.reason,
    'tulle.mode': 'enforce',
    'tulle.destination': server && `${server.namespace}/${server.account}`,
    'error.type': isError ? (hop.reason ?? String(status)) : undefined,
  };
  const span = (kind: SpanKind, own: Workload, parts: Partial<Span>, values: Values): Span => ({
    traceId: hop.traceId,
    spanId: '',
    parentSpanId: hop.parent,
    traceState: '',
    name: method === undefined ? `${host}:${port}` : `${method} ${host}:${port}`,
    kind,
    startNs: BigInt(Math.round(hop.startMs * 1_000)) * 1_000n,
    durationNs: Math.round(hop.durationMs * 1_000_000),
    attributes: toTags({ ...shared, ...values }),
    events: [],
    links: [],
    status: isError ? 'error' : 'unset',
    statusMessage: isError ? (hop.reason ?? String(status)) : '',
    resource: toResource(own),
    scope: { name: 'tulle-sidecar', version: '' },
    ...parts,
  });
  const clientSpan = newId();
  const serverSpan = newId();
  const spans = [
    span(
      'client',
      client,
      { spanId: clientSpan },
      {
        'tulle.direction': 'outbound',
        'tulle.split': hop.split,
        'tulle.backend': hop.backend,
        'tulle.pod': server && `${server.namespace}/${server.name}-0`,
      },
    ),
  ];
  if (server !== undefined) {
    const inside = {
      spanId: serverSpan,
      parentSpanId: method === undefined ? '' : clientSpan,
      startNs: BigInt(Math.round((hop.startMs + 0.4) * 1_000)) * 1_000n,
      durationNs: Math.round(Math.max(0.1, hop.durationMs - 0.9) * 1_000_000),
      ...(method === undefined && { traceId: newId() + newId() }),
    };
    spans.push(
      span('server', server, inside, {
        'tulle.direction': 'inbound',
        'tulle.rule': hop.rule,
      }),
    );
  }
  return { spans, serverSpan };
}

function toResource({ namespace, name }: Workload): SpanResource {
  const attributes = toTags({
    'service.namespace': namespace,
    'k8s.pod.name': `${name}-0`,
  });
  return { service: name, attributes };
}

function toTags(values: Values): Tag[] {
  return Object.entries(values).flatMap(([key, value]) =>
    value === undefined
      ? []
      : [
          {
            key,
            type: typeof value === 'string' ? ('string' as const) : ('int64' as const),
            value,
          },
        ],
  );
}
