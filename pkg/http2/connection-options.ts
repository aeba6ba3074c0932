import type { OnRequest } from './reception.ts';

export interface ConnectionLimits {
  /** Bytes of a header list, each field counting 32 more; what is longer is not kept. */
  readonly headerBytes: number;
  readonly headerFields: number;
  /** Streams that a client may have open at once. */
  readonly streams: number;
  /** Bytes in flight on one stream. */
  readonly streamWindow: number;
  /** Bytes in flight on all streams together. */
  readonly connectionWindow: number;
}

export interface ConnectionOptions {
  readonly limits: ConnectionLimits;
  /** Milliseconds. */
  readonly now: () => number;
  /** Servers. */
  readonly onRequest?: OnRequest;
  /** The number of streams changed, or bytes moved. */
  readonly onActivity?: () => void;
  /** The peer's first SETTINGS have come: streams may be opened. */
  readonly onReady?: () => void;
  /** No new stream will be opened on it. */
  readonly onRetired?: () => void;
  readonly onClosed?: () => void;
  /** A reader, or what took a request, threw: its stream was reset. */
  readonly onCrash?: (error: unknown) => void;
}
