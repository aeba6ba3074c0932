import type { HopSpan } from '../../observability/tracing.ts';
import type { DirectoryEntry, MeshSettings } from '../../policy/proxy-policy.ts';

/** A line of Envoy's about a TCP connection that reached its peer, or has ended (pkg/envoy-config/access-log.ts). */
export interface ConnectionLine {
  readonly kind: 'tcp';
  readonly event: 'TcpUpstreamConnected' | 'TcpConnectionEnd';
  readonly connection: number;
  readonly time: string;
  readonly duration_ms?: number;
  readonly flags?: string;
  readonly dialled?: string;
  readonly peer?: string;
  readonly failure?: string;
  readonly upstream?: string;
  readonly direction: 'inbound' | 'outbound';
  readonly service: string;
  readonly split?: string;
  readonly verdict: 'allowed' | 'denied';
  readonly reason?: string;
  readonly mode?: string;
  readonly backend?: string;
  readonly destination?: string;
  readonly pod?: string;
}

export interface SpanContext {
  /** `namespace/serviceaccount` of the pod. */
  readonly account: string;
  readonly directory: ReadonlyMap<string, DirectoryEntry>;
  readonly settings: MeshSettings | undefined;
  readonly randomHex: (bytes: number) => string;
  /** A number from 0 to 1, for sampling. */
  readonly random: () => number;
}

/** Makes one line of the two that a connection has. */
export interface ConnectionLines {
  take(line: ConnectionLine): void;
}

/** A connection that lives longer is recorded while it lives: a database's may live for days. */
const longConnectionMillis = 2_000;

/** `later` calls back after some milliseconds, until the returned function is called. */
export function createConnectionLines(
  record: (line: ConnectionLine) => void,
  later: (milliseconds: number, task: () => void) => () => void,
): ConnectionLines {
  const young = new Map<number, () => void>();
  const old = new Set<number>();
  return {
    take(line) {
      const { event, connection } = line;
      if (event === 'TcpUpstreamConnected') {
        const cancel = later(longConnectionMillis, () => {
          young.delete(connection);
          old.add(connection);
          record({ ...line, duration_ms: longConnectionMillis });
        });
        young.set(connection, cancel);
        return;
      }
      young.get(connection)?.();
      young.delete(connection);
      if (!old.delete(connection)) record(line);
    },
  };
}

/** Undefined for a line about something else. */
export function decodeConnectionLine(line: string): ConnectionLine | undefined {
  if (!line.startsWith('{') || !line.includes('"kind":"tcp"')) return undefined;
  try {
    const value = JSON.parse(line) as Partial<ConnectionLine>;
    return value.kind === 'tcp' && typeof value.time === 'string' && value.direction !== undefined
      ? (value as ConnectionLine)
      : undefined;
  } catch {
    return undefined;
  }
}

/** One span for one connection, as the Node sidecar makes it; undefined when it isn't sampled or not of the mesh. */
export function toConnectionSpan(line: ConnectionLine, context: SpanContext): HopSpan | undefined {
  const { account, directory, settings, randomHex, random } = context;
  const service = line.service || toServiceKey(line.dialled ?? '', directory);
  const startTime = Date.parse(line.time);
  if (service === undefined || Number.isNaN(startTime)) return undefined;
  if (random() >= (settings?.tracing.sampling ?? 1)) return undefined;
  const colon = service.lastIndexOf(':');
  const [namespace = '', name = ''] = service.slice(0, colon).split('/');
  const port = service.slice(colon + 1);
  const inbound = line.direction === 'inbound';
  const error = toError(line);
  const attributes: Record<string, string | number> = {
    'server.address': `${name}.${namespace}`,
    'server.port': Number(port),
    'tulle.direction': line.direction,
    'tulle.service': service,
    'tulle.verdict': line.verdict,
    'tulle.source': inbound ? toAccount(line.peer ?? '') : account,
  };
  const optional = {
    'tulle.split': line.split,
    'tulle.backend': line.backend,
    'tulle.destination': inbound ? account : line.destination,
    'tulle.pod': line.pod,
    'tulle.reason': line.reason,
    'tulle.mode': line.mode,
    'error.type': error,
  };
  for (const [key, value] of Object.entries(optional))
    if (value !== undefined && value !== '-') attributes[key] = value;
  return {
    traceId: randomHex(16),
    spanId: randomHex(8),
    kind: inbound ? 'server' : 'client',
    name: `${name}.${namespace}:${port}`,
    startTime,
    endTime: startTime + Math.max(0, line.duration_ms ?? 0),
    attributes,
    ...(error === undefined ? {} : { error }),
  };
}

function toError({ verdict, reason, flags = '-', failure, upstream }: ConnectionLine): string | undefined {
  if (verdict === 'denied') return reason;
  if (failure !== undefined && failure !== '-') return 'connect';
  // A backend without endpoints (pkg/envoy-config/endpoint.ts).
  if (upstream?.startsWith('envoy://nobody') === true) return 'connect';
  // UF: no connection to the peer; UH: nobody to connect to.
  return /\b(UF|UH)\b/.test(flags) ? 'connect' : undefined;
}

function toAccount(uri: string): string {
  const [, namespace, name] = /^spiffe:\/\/[^/]+\/ns\/([^/]+)\/sa\/([^/]+)$/.exec(uri) ?? [];
  return namespace === undefined ? '' : `${namespace}/${name}`;
}

function toServiceKey(dialled: string, directory: ReadonlyMap<string, DirectoryEntry>): string | undefined {
  for (const { key, port, addresses, pods = [] } of directory.values()) {
    const ips = [...addresses, ...pods.map(({ ip }) => ip)];
    if (ips.some((ip) => dialled === `${ip}:${port}`)) return key;
  }
  return undefined;
}
