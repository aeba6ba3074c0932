import type { MeshShape } from './mesh-files.ts';

export interface ClientTarget {
  readonly port: number;
  readonly shape: MeshShape;
  /** They come back, and say what they have. */
  readonly known: boolean;
  readonly timeLimit: number;
  /** The first of the proxies that connect, and how many; absent: all. */
  readonly first?: number;
  readonly count?: number;
  /** Over TLS, with tokens; absent: plaintext. */
  readonly credentials?: ClientCredentials;
  /** Who is cut off tries again, as sidecars do. */
  readonly comesBack?: boolean;
  /** They read, and never say that they did. */
  readonly isMute?: boolean;
  /** Bytes that the server may send unasked; Envoy's is large. */
  readonly window?: number;
}

/** Files: what the server's certificate must chain to, and a JSON list of the tokens of all proxies. */
export interface ClientCredentials {
  readonly roots: string;
  readonly tokens: string;
}

export interface Connected {
  /** Milliseconds from the start to the last first answer, of each proxy. */
  readonly times: readonly number[];
  readonly responses: number;
  readonly bytes: number;
  /** Connections that were made again. */
  readonly again: number;
  /** Proxies that never got everything. */
  readonly missing: number;
  readonly failures: readonly string[];
}

export interface CollectTarget {
  /** Milliseconds without anything. */
  readonly quiet: number;
  readonly timeLimit: number;
  /** Enough, whatever comes after. */
  readonly responses?: number;
}

export interface Collected {
  /** Proxies that got anything, and those that got more than entries of the shared directory. */
  readonly proxies: readonly number[];
  readonly own: readonly number[];
  readonly responses: number;
  readonly bytes: number;
  /** When each response was acknowledged, in milliseconds of the monotonic clock. */
  readonly acks: readonly number[];
  readonly failures: readonly string[];
}
