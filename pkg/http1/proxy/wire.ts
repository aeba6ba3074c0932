import { STATUS_CODES } from 'node:http';
import { Socket } from 'node:net';
import type { Duplex } from 'node:stream';
import { TLSSocket } from 'node:tls';
import type { LocalReply } from './handler.ts';

/** Up to this size a body is copied behind its head, so that both are one write, one TLS record, one packet. */
const JOINED_BYTES = 16 * 1024;

/** Writes text (latin1) and bytes in one go. False: the socket wants a pause. */
export function writeBoth(socket: Duplex, text: string, bytes: Buffer): boolean {
  if (text === '') return socket.write(bytes);
  if (bytes.length > JOINED_BYTES) {
    socket.cork();
    socket.write(text, 'latin1');
    const more = socket.write(bytes);
    socket.uncork();
    return more;
  }
  const joined = Buffer.allocUnsafe(text.length + bytes.length);
  joined.write(text, 0, 'latin1');
  bytes.copy(joined, text.length);
  return socket.write(joined);
}

/** Bytes as one chunk of a chunked body. */
export function toChunk(bytes: Buffer): Buffer {
  const size = `${bytes.length.toString(16)}\r\n`;
  const chunk = Buffer.allocUnsafe(size.length + bytes.length + 2);
  chunk.write(size, 0, 'latin1');
  bytes.copy(chunk, size.length);
  chunk.write('\r\n', size.length + bytes.length, 'latin1');
  return chunk;
}

/** A whole answer of the proxy's own. */
export function toReplyBytes(reply: LocalReply, options: { bodiless: boolean; close: boolean; minor: 0 | 1 }): Buffer {
  const body = Buffer.from(reply.body, 'utf8');
  const reason = STATUS_CODES[reply.status] ?? 'Unknown';
  const connection = options.close ? 'Connection: close\r\n' : options.minor === 0 ? 'Connection: keep-alive\r\n' : '';
  const head = `HTTP/1.1 ${reply.status} ${reason}\r\n${reply.lines}Content-Length: ${body.length}\r\n${connection}\r\n`;
  return Buffer.concat([Buffer.from(head, 'latin1'), options.bodiless ? Buffer.alloc(0) : body]);
}

/** Breaks a connection off so that its peer can tell: with a reset where there is such a thing. */
export function breakOff(socket: Duplex): void {
  const tcp = socket instanceof Socket && !(socket instanceof TLSSocket) && socket.remotePort !== undefined;
  if (tcp) socket.resetAndDestroy();
  else socket.destroy();
}
