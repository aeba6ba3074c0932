import { type AdsLimits, defaultAdsLimits } from './ads-limits.ts';
import type { GateLimits } from './connection-gate.ts';
import type { PendingLimits } from './pending-streams.ts';

/** What clients may cost: each, and all together. */
export interface AdsServerLimits extends AdsLimits, GateLimits, PendingLimits {
  readonly streams: number;
  /** Streams of one pod, or of one identity for clients without. */
  readonly streamsPerClient: number;
  readonly messageBytes: number;
  /** What all streams together may have written and not yet sent. */
  readonly unsentBytes: number;
  /** The same, with what clients that do not read were written: beyond half of it they are given up. */
  readonly queuedBytes: number;
  /** Milliseconds after which a client counts as one that does not read. */
  readonly stuck: number;
  /** Requests that a stream may send at once, and per second in the long run. */
  readonly requestBurst: number;
  readonly requestsPerSecond: number;
  /** Milliseconds from the start of a stream to its first request. */
  readonly firstRequest: number;
}

export const defaultServerLimits: AdsServerLimits = {
  ...defaultAdsLimits,
  connections: 12_000,
  strangers: 2_048,
  strangersPerAddress: 128,
  // A thousand that come at once wait for each other's handshakes; on a starved machine that takes a while.
  firstStream: 30_000,
  streams: 10_000,
  pendingStreams: 2_048,
  pendingPerAddress: 256,
  streamsPerClient: 32,
  messageBytes: 8 * 1024 * 1024,
  unsentBytes: 32 * 1024 * 1024,
  queuedBytes: 128 * 1024 * 1024,
  stuck: 15_000,
  requestBurst: 10_000,
  requestsPerSecond: 500,
  firstRequest: 30_000,
};
