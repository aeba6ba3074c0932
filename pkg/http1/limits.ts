/** Bounds on what a peer may send. Sizes are bytes. */
export interface Limits {
  /** The whole head: start line, field lines, the empty line. */
  readonly headBytes: number;
  readonly headerCount: number;
  /** Request line or status line. */
  readonly startLineBytes: number;
  /** All chunk extensions of one message together. */
  readonly chunkExtensionBytes: number;
  readonly trailerBytes: number;
  readonly trailerCount: number;
}

/** Envoy's bounds on heads (60 KiB) and on the number of fields (100), so that both sidecars take the same. */
export const defaultLimits: Limits = {
  headBytes: 60 * 1024,
  headerCount: 100,
  startLineBytes: 32 * 1024,
  chunkExtensionBytes: 4 * 1024,
  trailerBytes: 8 * 1024,
  trailerCount: 32,
};
