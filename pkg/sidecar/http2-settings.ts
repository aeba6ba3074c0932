import type { ConnectionLimits } from '../http2/connection.ts';
import { maxHeaderBytes, maxHeaderCount } from './headers.ts';

/** Limits of an HTTP/2 connection, of both sides. Windows are large enough for a local hop to run at full speed. */
export const http2Limits: ConnectionLimits = {
  headerBytes: maxHeaderBytes,
  headerFields: maxHeaderCount,
  streams: 1000,
  streamWindow: 256 * 1024,
  connectionWindow: 1024 * 1024,
};
