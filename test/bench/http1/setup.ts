/** What one proxy process of the benchmark is told, as JSON. */
export interface ProxySetup {
  /** `bare`: the codec without any policy, the least that it costs. */
  readonly engine: 'codec' | 'bare' | 'node';
  readonly side: 'outbound' | 'inbound';
  readonly listen: number;
  /** Outbound: of the inbound proxy. Inbound: of the app. */
  readonly upstream: number;
  readonly certificateChain: string;
  readonly privateKey: string;
  readonly roots: string;
  /** 0 to 1. */
  readonly sampling: number;
}

export const clientIdentity = 'spiffe://cluster.local/ns/bookstore/sa/bookbuyer';
export const serverIdentity = 'spiffe://cluster.local/ns/bookstore/sa/bookstore';
export const serviceKey = 'bookstore/bookstore:14001';
export const appPort = 14001;
export const rootName = 'bench';
