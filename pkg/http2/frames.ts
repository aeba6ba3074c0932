import type { ErrorCode } from './error-codes.ts';

/** Frame types (RFC 9113 §6). */
export const frameType = {
  data: 0,
  headers: 1,
  priority: 2,
  rstStream: 3,
  settings: 4,
  pushPromise: 5,
  ping: 6,
  goaway: 7,
  windowUpdate: 8,
  continuation: 9,
} as const;

export const flag = { ack: 0x1, endStream: 0x1, endHeaders: 0x4, padded: 0x8, priority: 0x20 } as const;

export const setting = {
  headerTableSize: 1,
  enablePush: 2,
  maxConcurrentStreams: 3,
  initialWindowSize: 4,
  maxFrameSize: 5,
  maxHeaderListSize: 6,
} as const;

export const frameHeaderSize = 9;
export const preface = Buffer.from('PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n', 'latin1');
/** The size that every peer takes, and the only one that we do. */
export const maxFrameSize = 16_384;
export const maxWindow = 0x7fff_ffff;

function writeFrameHeader(out: Buffer, at: number, length: number, type: number, flags: number, id: number): void {
  out[at] = length >>> 16;
  out[at + 1] = (length >>> 8) & 0xff;
  out[at + 2] = length & 0xff;
  out[at + 3] = type;
  out[at + 4] = flags;
  out[at + 5] = (id >>> 24) & 0x7f;
  out[at + 6] = (id >>> 16) & 0xff;
  out[at + 7] = (id >>> 8) & 0xff;
  out[at + 8] = id & 0xff;
}

export function toFrame(type: number, flags: number, id: number, payload: Uint8Array): Buffer {
  const frame = Buffer.allocUnsafe(frameHeaderSize + payload.length);
  writeFrameHeader(frame, 0, payload.length, type, flags, id);
  frame.set(payload, frameHeaderSize);
  return frame;
}

/** A header block as HEADERS and, where it is long, CONTINUATION. */
export function toHeaderFrames(id: number, block: Buffer, endStream: boolean): Buffer {
  const end = endStream ? flag.endStream : 0;
  if (block.length <= maxFrameSize) return toFrame(frameType.headers, end | flag.endHeaders, id, block);
  const frames: Buffer[] = [];
  for (let at = 0; at < block.length; at += maxFrameSize) {
    const isLast = at + maxFrameSize >= block.length;
    const type = at === 0 ? frameType.headers : frameType.continuation;
    const flags = (at === 0 ? end : 0) | (isLast ? flag.endHeaders : 0);
    frames.push(toFrame(type, flags, id, block.subarray(at, at + maxFrameSize)));
  }
  return Buffer.concat(frames);
}

export function toDataHeader(id: number, length: number, end: boolean): Buffer {
  const header = Buffer.allocUnsafe(frameHeaderSize);
  writeFrameHeader(header, 0, length, frameType.data, end ? flag.endStream : 0, id);
  return header;
}

export function toSettings(values: readonly (readonly [id: number, value: number])[]): Buffer {
  const payload = Buffer.allocUnsafe(6 * values.length);
  for (const [i, [id, value]] of values.entries()) {
    payload.writeUInt16BE(id, 6 * i);
    payload.writeUInt32BE(value, 6 * i + 2);
  }
  return toFrame(frameType.settings, 0, 0, payload);
}

export const settingsAck = toFrame(frameType.settings, flag.ack, 0, Buffer.alloc(0));

export function toWindowUpdate(id: number, increment: number): Buffer {
  return toFrame(frameType.windowUpdate, 0, id, toUint32(increment));
}

export function toReset(id: number, code: number): Buffer {
  return toFrame(frameType.rstStream, 0, id, toUint32(code));
}

export function toPing(payload: Uint8Array, ack: boolean): Buffer {
  return toFrame(frameType.ping, ack ? flag.ack : 0, 0, payload);
}

export function toGoaway(lastStream: number, code: ErrorCode): Buffer {
  return toFrame(frameType.goaway, 0, 0, Buffer.concat([toUint32(lastStream), toUint32(code)]));
}

function toUint32(value: number): Buffer {
  const bytes = Buffer.allocUnsafe(4);
  bytes.writeUInt32BE(value >>> 0);
  return bytes;
}
