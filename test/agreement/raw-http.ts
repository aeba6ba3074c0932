import { once } from 'node:events';
import { connect as connectHttp2 } from 'node:http2';
import { connect } from 'node:net';
import type { NetConnectOpts } from 'node:net';
import { Duplex } from 'node:stream';

/** Long enough for an answer, and for its not coming: some refuse by silence. */
const patience = 2_000;

/** Sends bytes as they are; the statuses of all answers, in order. */
export async function sendBytes(to: NetConnectOpts, bytes: string): Promise<readonly number[]> {
  const socket = connect({ ...to, allowHalfOpen: true } as NetConnectOpts);
  socket.on('error', () => undefined);
  let text = '';
  socket.on('data', (chunk: Buffer) => {
    text += chunk.toString('latin1');
    // Envoy says that it closes, and does so a second later.
    if (isLast(text)) socket.destroy();
  });
  socket.write(Buffer.from(bytes, 'latin1'));
  const timer = setTimeout(() => socket.destroy(), patience);
  await new Promise<void>((resolve) => {
    socket.once('end', () => resolve());
    socket.once('close', () => resolve());
  });
  clearTimeout(timer);
  socket.destroy();
  return [...text.matchAll(/HTTP\/[0-9.]+ (\d{3}) /g)].map(([, status]) => Number(status));
}

/** An answer with all of its body, after which there will be none. */
function isLast(text: string): boolean {
  const start = text.lastIndexOf('HTTP/1.1 ');
  const end = text.indexOf('\r\n\r\n', start);
  const head = text.slice(start, Math.max(start, end + 2));
  const [, length] = /\r\ncontent-length: (\d+)\r\n/i.exec(head) ?? [];
  return length !== undefined && /\r\nconnection: close\r\n/i.test(head) && text.length >= end + 4 + Number(length);
}

/** Sends one request with exactly these fields; its status, or nothing when the stream or the connection is reset. */
export async function sendFields(
  to: NetConnectOpts,
  fields: readonly (readonly [string, string])[],
): Promise<number | undefined> {
  const session = connectHttp2('http://mesh', { createConnection: () => rewrite(to, toBlock(fields)) });
  session.on('error', () => undefined);
  const ended = new AbortController();
  const timer = setTimeout(() => ended.abort(), patience);
  try {
    const stream = session.request({ ':path': '/' });
    stream.on('error', () => undefined);
    stream.once('close', () => ended.abort());
    session.once('close', () => ended.abort());
    stream.end();
    const [answer] = (await once(stream, 'response', { signal: ended.signal })) as [Record<string, unknown>];
    stream.resume();
    return Number(answer[':status']);
  } catch {
    return undefined;
  } finally {
    clearTimeout(timer);
    session.destroy();
  }
}

const preface = 24;
const headersFrame = 1;
/** END_STREAM and END_HEADERS. */
const whole = 0x05;

/** A connection that puts `block` in the place of the fields of each request. */
function rewrite(to: NetConnectOpts, block: Buffer): Duplex {
  const socket = connect(to);
  let rest = Buffer.alloc(0);
  let begun = false;
  const duplex = new Duplex({
    read: () => void socket.resume(),
    write(chunk: Buffer, _encoding, done) {
      rest = Buffer.concat([rest, chunk]);
      if (!begun && rest.length >= preface) {
        socket.write(rest.subarray(0, preface));
        rest = rest.subarray(preface);
        begun = true;
      }
      while (begun && rest.length >= 9 && rest.length >= 9 + rest.readUIntBE(0, 3)) {
        const length = 9 + rest.readUIntBE(0, 3);
        const frame = rest.subarray(0, length);
        socket.write(frame[3] === headersFrame ? toFrame(frame, block) : frame);
        rest = rest.subarray(length);
      }
      done();
    },
    final(done) {
      socket.end();
      done();
    },
    destroy(error, done) {
      socket.destroy();
      done(error);
    },
  });
  socket.on('data', (chunk: Buffer) => {
    if (!duplex.push(chunk)) socket.pause();
  });
  socket.once('end', () => duplex.push(null));
  socket.once('close', () => duplex.destroy());
  socket.on('error', () => duplex.destroy());
  return duplex;
}

function toFrame(original: Buffer, block: Buffer): Buffer {
  const head = Buffer.from(original.subarray(0, 9));
  head.writeUIntBE(block.length, 0, 3);
  head[4] = whole;
  return Buffer.concat([head, block]);
}

/** HPACK, every field as a literal that is not indexed (RFC 7541, 6.2.2). */
function toBlock(fields: readonly (readonly [string, string])[]): Buffer {
  return Buffer.concat(fields.flatMap(([name, value]) => [Buffer.of(0), toText(name), toText(value)]));
}

function toText(text: string): Buffer {
  const bytes = Buffer.from(text, 'latin1');
  if (bytes.length >= 127) throw new Error('longer than one byte can say');
  return Buffer.concat([Buffer.of(bytes.length), bytes]);
}
