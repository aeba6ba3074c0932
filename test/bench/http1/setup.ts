/** What client and app speak. gRPC is HTTP/2 whose Service says so, and unary calls; TCP carries the bytes of HTTP/1.1. */
export type BenchProtocol = 'http1' | 'http2' | 'grpc' | 'tcp';

/** What one proxy process of the benchmark is told, as JSON. */
export interface ProxySetup {
  /** `bare`: the codec without any policy, the least that it costs. */
  readonly engine: 'sidecar' | 'bare';
  readonly protocol: BenchProtocol;
  readonly side: 'outbound' | 'inbound';
  /** Unix socket of the inbound proxy. */
  readonly between: string;
  /** Port of the app on 127.0.0.1. */
  readonly app: number;
  /** A path for the admin API. */
  readonly admin: string;
  readonly certificateChain: string;
  readonly privateKey: string;
  readonly roots: string;
  /** 0 to 1. */
  readonly sampling: number;
  /** Takes spans; absent: they are made, and not sent. */
  readonly otlp?: string;
}

export const clientIdentity = 'spiffe://cluster.local/ns/bookstore/sa/bookbuyer';
export const serverIdentity = 'spiffe://cluster.local/ns/bookstore/sa/bookstore';
export const serviceKey = 'bookstore/bookstore:14001';
export const appPort = 14001;
export const rootName = 'bench';
/** Bytes that the app answers. */
export const bodySize = 1024;
