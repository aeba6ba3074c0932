import type { ServicePortKey } from '../policy/outbound.ts';

/** How traffic gets into and out of the proxy. */
export interface InterceptionMode {
  readonly inbound: InboundInterception;
  readonly outbound: OutboundInterception;
}

/** `redirect`: iptables leads all that comes in to one port. `sockets`: one unix socket for each port of the workload. */
export type InboundInterception =
  | { readonly kind: 'redirect'; readonly port: number }
  /** `{port}` stands for the workload's port: `/run/x/in-{port}.sock`. */
  | {
      readonly kind: 'sockets';
      readonly template: string;
      /** Where the app really listens, where that isn't the workload's port. */
      readonly appPorts?: ReadonlyMap<number, number>;
    };

/**
 * `redirect`: iptables leads all that goes out to one port, and the kernel knows where it was going.
 * `proxy`: the app is told to use an HTTP proxy, and a loopback port for each TCP service.
 */
export type OutboundInterception =
  | {
      readonly kind: 'redirect';
      readonly port: number;
      /** True where nothing but the mesh can be reached, and a connection to elsewhere would come back here. */
      readonly meshOnly?: true;
    }
  | {
      readonly kind: 'proxy';
      readonly port: number;
      /** What `proxy-authorization` must say, `Basic …`; absent: nothing is asked. */
      readonly authorization?: string;
      /** Loopback port for each TCP Service port that the app was told of. */
      readonly tcpPorts: ReadonlyMap<ServicePortKey, number>;
    };

/** As in a pod of Kubernetes: REDIRECT to 15003 and 15001. */
export const transparent: InterceptionMode = {
  inbound: { kind: 'redirect', port: 15003 },
  outbound: { kind: 'redirect', port: 15001 },
};

/** Keys of `node.metadata` by which a bootstrap says how its proxy takes traffic; both hold JSON. */
export const outboundMetadata = 'TULLE_OUTBOUND';
export const appPortsMetadata = 'TULLE_APP_PORTS';

/**
 * How traffic gets into and out of a proxy. In: by the address that its pod has in the mesh, `unix:/run/x/in-{port}.sock`.
 * Out: as its bootstrap says, `{port, authorization?, tcp?: {key: port}}` for the explicit proxy; else by redirection.
 * Metadata is the client's: what can't be read counts as absent.
 */
export function toInterceptionMode(
  inboundAddress: string | undefined,
  metadata: Readonly<Record<string, string>> = {},
): InterceptionMode {
  const sockets = inboundAddress?.startsWith('unix:') === true;
  const proxy = toRecord(metadata[outboundMetadata]);
  return {
    inbound: sockets ? toSockets(inboundAddress.slice('unix:'.length), metadata) : transparent.inbound,
    outbound: isPort(proxy['port'])
      ? toProxy(proxy['port'], proxy)
      : {
          kind: 'redirect',
          port: 15001,
          ...(sockets ? { meshOnly: true } : {}),
        },
  };
}

function toSockets(template: string, metadata: Readonly<Record<string, string>>): InboundInterception {
  const appPorts = new Map<number, number>();
  for (const [port, appPort] of toPorts(toRecord(metadata[appPortsMetadata]))) appPorts.set(Number(port), appPort);
  return {
    kind: 'sockets',
    template,
    ...(appPorts.size > 0 ? { appPorts } : {}),
  };
}

function toProxy(port: number, { authorization, tcp }: Record<string, unknown>): OutboundInterception {
  const tcpPorts = toPorts(typeof tcp === 'object' && tcp !== null ? (tcp as Record<string, unknown>) : {});
  return {
    kind: 'proxy',
    port,
    tcpPorts,
    ...(typeof authorization === 'string' ? { authorization } : {}),
  };
}

function toPorts(record: Record<string, unknown>): Map<string, number> {
  return new Map(Object.entries(record).flatMap(([key, port]) => (isPort(port) ? [[key, port] as const] : [])));
}

function isPort(value: unknown): value is number {
  return typeof value === 'number' && Number.isInteger(value) && value > 0 && value < 65_536;
}

function toRecord(text: string | undefined): Record<string, unknown> {
  try {
    const value: unknown = JSON.parse(text ?? '{}');
    return typeof value === 'object' && value !== null ? (value as Record<string, unknown>) : {};
  } catch {
    return {};
  }
}
