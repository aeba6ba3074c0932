import { maxHeaderBytes, maxHeaderCount } from './headers.ts';

/** Limits of an HTTP/2 connection, of both sides. Windows are large enough for a local hop to run at full speed. */
export const http2Settings = {
  settings: {
    enablePush: false,
    initialWindowSize: 256 * 1024,
    maxConcurrentStreams: 1000,
    maxHeaderListSize: maxHeaderBytes,
  },
  maxHeaderListPairs: maxHeaderCount + 4,
  // Megabytes for all streams of one session; node's 10 refuses streams at the window above.
  maxSessionMemory: 64,
  maxSendHeaderBlockLength: 2 * maxHeaderBytes,
};

/** Bytes in flight on one connection, all streams together. */
export const connectionWindow = 1024 * 1024;
