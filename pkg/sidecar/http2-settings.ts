import type { ConnectionLimits } from '../http2/connection-options.ts';
import { maxHeaderBytes, maxHeaderCount } from './headers.ts';

/** Limits of an HTTP/2 connection of a client. Windows are large enough for a local hop to run at full speed. */
export const http2Limits: ConnectionLimits = {
  headerBytes: maxHeaderBytes,
  headerFields: maxHeaderCount,
  streams: 1000,
  streamWindow: 256 * 1024,
  connectionWindow: 1024 * 1024,
};

/**
 * Limits of a connection to an upstream. All of its streams fit into its window: a client that does not take its answers
 * must not hold up those of others on the same connection.
 */
export function toUpstreamLimits(streams: number): ConnectionLimits {
  return { ...http2Limits, connectionWindow: streams * http2Limits.streamWindow };
}
