import type { Socket } from 'node:net';

/** First byte of a TLS record that holds a handshake (RFC 8446 §5.1). */
export const tlsHandshake = 0x16;

/** How every HTTP/2 connection of a client begins (RFC 9113 §3.4). */
const preface = Buffer.from('PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n', 'latin1');

/**
 * Looks at the first bytes of a connection and puts them back. Calls back with `undefined` when the client closed
 * before `enough`, or said nothing within `timeout`; the socket is left as it is then.
 */
export function peek(
  socket: Socket,
  timeout: number,
  enough: (bytes: Buffer) => boolean,
  callback: (bytes: Buffer | undefined) => void,
): void {
  let seen: Buffer = Buffer.alloc(0);
  const stop = (bytes: Buffer | undefined): void => {
    clearTimeout(timer);
    socket.off('readable', look);
    socket.off('close', closed);
    socket.off('end', closed);
    socket.off('error', closed);
    if (seen.length > 0 && !socket.destroyed) socket.unshift(seen);
    callback(bytes);
  };
  const closed = (): void => stop(undefined);
  const look = (): void => {
    const chunk = socket.read() as Buffer | null;
    if (!chunk) return;
    seen = seen.length === 0 ? chunk : Buffer.concat([seen, chunk]);
    if (enough(seen)) stop(seen);
  };
  const timer = setTimeout(closed, timeout);
  socket.on('readable', look);
  socket.once('close', closed);
  socket.once('end', closed);
  socket.once('error', closed);
}

/** Enough to tell HTTP/2 with prior knowledge from HTTP/1: the whole preface, or the first byte that differs. */
export function tellsHttpVersion(bytes: Buffer): boolean {
  const length = Math.min(bytes.length, preface.length);
  return length === preface.length || !bytes.subarray(0, length).equals(preface.subarray(0, length));
}

export function isHttp2Preface(bytes: Buffer): boolean {
  return bytes.length >= preface.length && bytes.subarray(0, preface.length).equals(preface);
}
