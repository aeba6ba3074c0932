import type { BenchProtocol } from './setup.ts';

export interface RateTarget {
  readonly protocol: BenchProtocol;
  readonly port: number;
  /** Requests per second, whether answers come or not. */
  readonly perSecond: number;
  readonly connections: number;
  readonly seconds: number;
}

export interface RateResult {
  readonly requests: number;
  /** Not answered, or not as they should be. */
  readonly failed: number;
  /** Milliseconds from when a request was due, so that waiting for a free connection counts. */
  readonly times: readonly number[];
}

export interface HoldTarget {
  readonly protocol: BenchProtocol;
  readonly port: number;
  readonly connections: number;
}

export interface Held {
  readonly open: number;
  readonly failed: number;
}
