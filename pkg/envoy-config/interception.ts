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
  | { readonly kind: 'sockets'; readonly template: string };

/**
 * `redirect`: iptables leads all that goes out to one port, and the kernel knows where it was going.
 * `proxy`: the app is told to use an HTTP proxy, and a loopback port for each TCP service.
 */
export type OutboundInterception =
  | { readonly kind: 'redirect'; readonly port: number }
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
