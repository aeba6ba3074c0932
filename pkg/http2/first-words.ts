import type { ConnectionLimits } from './connection-options.ts';
import { preface, setting, toSettings, toWindowUpdate } from './frames.ts';

/** What each side says first (RFC 9113 §3.4), and the window of the connection, which no setting tells. */
export function toFirstWords(role: 'client' | 'server', limits: ConnectionLimits, increment: number): Buffer {
  const settings = toSettings([
    [setting.enablePush, 0],
    [setting.maxConcurrentStreams, role === 'server' ? limits.streams : 0],
    [setting.initialWindowSize, limits.streamWindow],
    [setting.maxHeaderListSize, limits.headerBytes],
  ]);
  const words = [settings, toWindowUpdate(0, increment)];
  return Buffer.concat(role === 'client' ? [preface, ...words] : words);
}
