import type { MeshShape } from './mesh-files.ts';

export interface ClientTarget {
  readonly port: number;
  readonly shape: MeshShape;
  /** They come back, and say what they have. */
  readonly known: boolean;
  readonly timeLimit: number;
}

export interface Connected {
  /** Milliseconds from the start to the last first answer, of each proxy. */
  readonly times: readonly number[];
  readonly responses: number;
  readonly bytes: number;
  /** Proxies that never got everything. */
  readonly missing: number;
  readonly failures: readonly string[];
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
