export interface AdsLimits {
  /** Resource names that one stream may be subscribed to, or says that it has, all types together. */
  readonly names: number;
  readonly nameLength: number;
  /**
   * Bytes of memory for such names, and of a request for them; on a server, of all streams of a client. A sidecar that
   * comes back needs some 900 of them for each service that it may call.
   */
  readonly nameBytes: number;
  readonly types: number;
}

export const defaultAdsLimits: AdsLimits = { names: 50_000, nameLength: 1024, nameBytes: 8 * 1024 * 1024, types: 24 };
