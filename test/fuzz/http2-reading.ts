import type { Socket } from 'node:net';
import { Duplex } from 'node:stream';
import { Http2Connection } from '../../pkg/http2/connection.ts';

/** What a server made of the bytes of one connection. */
export interface Http2Reading {
  /** By stream: requests that came to their end, as text. */
  readonly complete: ReadonlyMap<number, string>;
  /** Streams whose request was given to the server, complete or not. */
  readonly begun: ReadonlySet<number>;
  /** It said that the connection can't go on. */
  readonly failed: boolean;
}

export interface Request {
  readonly head: readonly string[];
  readonly body: Buffer[];
  trailers: readonly string[];
}

/** A socket in memory: gives the bytes, and keeps what is written. */
class Wire extends Duplex {
  readonly #out: Buffer[] = [];
  readonly #onOutput: () => void;

  constructor(onOutput: () => void) {
    super({ allowHalfOpen: true });
    this.#onOutput = onOutput;
  }

  override _read(): void {
    // Bytes are pushed.
  }

  override _write(chunk: Buffer, _encoding: string, done: () => void): void {
    this.#out.push(chunk);
    done();
    this.#onOutput();
  }

  override _destroy(error: Error | null, done: (error: Error | null) => void): void {
    done(error);
    this.#onOutput();
  }

  override _final(done: () => void): void {
    done();
    this.#onOutput();
  }

  /** The last PING was answered, or the connection was given up. */
  get settled(): 'answered' | 'failed' | undefined {
    return outcomeOf(this.#out, this.destroyed || this.writableEnded);
  }
}

export function outcomeOf(received: readonly Buffer[], ended: boolean): 'answered' | 'failed' | undefined {
  const bytes = Buffer.concat(received);
  for (let at = 0; at + 9 <= bytes.length; at += 9 + bytes.readUIntBE(at, 3)) {
    const type = bytes[at + 3];
    if (type === 7 && bytes.readUInt32BE(at + 13) !== 0) return 'failed';
    if (type === 6 && bytes[at + 4] === 1 && bytes.toString('latin1', at + 9, at + 17) === 'the end!')
      return 'answered';
  }
  return ended ? 'failed' : undefined;
}

const limits = {
  headerBytes: 60 * 1024,
  headerFields: 100,
  streams: 1000,
  streamWindow: 256 * 1024,
  connectionWindow: 1024 * 1024,
};

/** `patience`: turns of the event loop without an answer after which the bytes were not enough to answer. */
async function settle(wire: Wire, patience: number): Promise<'answered' | 'failed' | undefined> {
  for (let turn = 0; turn < patience && wire.settled === undefined; turn++) {
    await new Promise((resolve) => setImmediate(resolve));
  }
  return wire.settled;
}

export async function readWithOurs(bytes: Buffer, cuts: readonly number[]): Promise<Http2Reading> {
  const requests = new Map<number, Request>();
  const complete = new Map<number, string>();
  const wire = new Wire(() => undefined);
  const connection = new Http2Connection(wire as unknown as Socket, 'server', {
    limits,
    now: () => 0,
    onRequest(stream, head, end) {
      const authority = head.authority === undefined ? [] : [':authority', head.authority];
      const pseudo = [':method', head.method, ':scheme', head.scheme, ':path', head.path, ...authority];
      const request: Request = { head: [...pseudo, ...head.fields], body: [], trailers: [] };
      requests.set(stream.id, request);
      const finish = (): void => void complete.set(stream.id, toText(request));
      stream.reader = {
        headers(trailers) {
          request.trailers = trailers;
          finish();
        },
        data(chunk, isEnd) {
          request.body.push(chunk);
          stream.consumed(chunk.length);
          if (isEnd) finish();
        },
        closed: () => undefined,
      };
      if (end) finish();
    },
  });
  for (const chunk of toChunks(bytes, cuts)) wire.push(chunk);
  const settled = await settle(wire, 20);
  const failed = settled === 'failed';
  connection.destroy();
  return { complete, begun: new Set(requests.keys()), failed };
}

export function toText({ head, body, trailers }: Request): string {
  const lines = (fields: readonly string[]): string[] => {
    const pairs: string[] = [];
    for (let i = 0; i + 1 < fields.length; i += 2) pairs.push(`${fields[i]}: ${fields[i + 1]}`);
    return pairs;
  };
  // Pseudo fields have no order of meaning.
  const all = lines(head);
  const pseudo = all.filter((line) => line.startsWith(':')).sort();
  const fields = all.filter((line) => !line.startsWith(':'));
  return JSON.stringify([pseudo, fields, Buffer.concat(body).toString('latin1'), lines(trailers)]);
}

function toChunks(bytes: Buffer, cuts: readonly number[]): Buffer[] {
  const chunks: Buffer[] = [];
  let from = 0;
  for (const cut of [...cuts, bytes.length]) {
    if (cut > from) chunks.push(bytes.subarray(from, cut));
    from = Math.max(from, cut);
  }
  return chunks;
}
