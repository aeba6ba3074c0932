import { type ErrorCode, errorCode } from './error-codes.ts';
import { maxFrameSize } from './frames.ts';

/** What reads a stream. Nothing of it is called again after `closed`. */
export interface StreamReader {
  /** A header block: a head, interim ones before it, trailers after it. `end`: nothing comes after. */
  headers(block: readonly string[], end: boolean): void;
  /** The chunk stays as it is. Whoever is done with it says so: `stream.consumed(chunk.length)`. */
  data(chunk: Buffer, end: boolean): void;
  /** Both sides have ended (0), the peer has reset it, or its connection is gone. */
  closed(code: number): void;
}

/** What a stream needs of its connection. */
export interface StreamHost {
  /** Bytes that the connection's window has left. */
  readonly room: number;
  /** The socket takes no more for now. */
  readonly blocked: boolean;
  sendHeaders(stream: Http2Stream, fields: readonly string[], end: boolean): void;
  sendData(stream: Http2Stream, chunk: Buffer, end: boolean): void;
  sendReset(stream: Http2Stream, code: number): void;
  sendWindowUpdate(stream: Http2Stream, bytes: number): void;
  /** So many bytes of the connection's window are free again. */
  release(bytes: number): void;
  /** It has something to send and no room for it. */
  waits(stream: Http2Stream): void;
  forget(stream: Http2Stream): void;
  /** Calls back once all that was sent so far is the socket's. */
  afterFlush(callback: () => void): void;
}

/** One stream of a connection, either side of it. */
export class Http2Stream {
  readonly id: number;
  reader: StreamReader | undefined;
  /** Bytes that the peer takes. */
  sendWindow: number;
  /** Bytes that the peer may still send. */
  receiveWindow: number;
  /** The peer has ended its side. */
  remoteEnded = false;
  /** Our side has ended: all of it is on its way. */
  localEnded = false;
  /** What remains of the body that the peer announced; -1: it announced none. */
  expected = -1;
  /** The answer has no body whatever length it tells: that to HEAD. */
  bodiless = false;
  /** Once our side has ended, what the peer still sends is of no use (RFC 9113 §8.1). */
  abandonsRest = false;
  /** A head came, and is not an interim one. */
  headReceived = false;
  readonly #host: StreamHost;
  readonly #window: number;
  #closed = false;
  #unacknowledged = 0;
  /** Received and not dealt with. */
  #outstanding = 0;
  #queue: Buffer[] = [];
  #end = false;
  #trailers: readonly string[] | undefined;
  #source: Http2Stream | undefined;

  constructor(host: StreamHost, id: number, sendWindow: number, receiveWindow: number) {
    this.#host = host;
    this.id = id;
    this.sendWindow = sendWindow;
    this.receiveWindow = receiveWindow;
    this.#window = receiveWindow;
  }

  get closed(): boolean {
    return this.#closed;
  }

  /** The body that this one sends is that one's: its peer may go on as this one's takes it. */
  carries(source: Http2Stream): void {
    this.#source = source;
  }

  /** A head, interim or not. */
  sendHeaders(fields: readonly string[], end: boolean): void {
    if (this.#closed || this.localEnded) return;
    this.#host.sendHeaders(this, fields, end);
    if (end) this.#endLocal();
  }

  /** In order; what there is no room for waits. */
  sendData(chunk: Buffer, end: boolean): void {
    if (this.#closed || this.localEnded || this.#end) return;
    if (chunk.length > 0) this.#queue.push(chunk);
    this.#end = end;
    this.pump();
  }

  /** After all data; ends our side. */
  sendTrailers(fields: readonly string[]): void {
    if (this.#closed || this.localEnded || this.#end) return;
    this.#end = true;
    this.#trailers = fields.length > 0 ? fields : undefined;
    this.pump();
  }

  /** Sends what there is room for. */
  pump(): void {
    if (this.#closed || this.localEnded) return;
    const host = this.#host;
    while (this.#queue.length > 0) {
      const chunk = this.#queue[0] as Buffer;
      const size = Math.min(chunk.length, maxFrameSize, this.sendWindow, host.room);
      if (size <= 0 || host.blocked) {
        host.waits(this);
        return;
      }
      const isWhole = size === chunk.length;
      if (isWhole) this.#queue.shift();
      else this.#queue[0] = chunk.subarray(size);
      const end = isWhole && this.#end && this.#queue.length === 0 && this.#trailers === undefined;
      this.sendWindow -= size;
      host.sendData(this, isWhole ? chunk : chunk.subarray(0, size), end);
      this.#source?.consumed(size);
      if (end) {
        this.#endLocal();
        return;
      }
      if (this.#closed) return;
    }
    if (!this.#end) return;
    if (this.#trailers === undefined) host.sendData(this, empty, true);
    else host.sendHeaders(this, this.#trailers, true);
    this.#endLocal();
  }

  /** Called by the connection, before the reader has it. */
  received(bytes: number): void {
    this.receiveWindow -= bytes;
    this.#outstanding += bytes;
  }

  /** So many bytes of what came are dealt with: the peer may send as many more. */
  consumed(bytes: number): void {
    if (this.#closed) return;
    this.#outstanding -= bytes;
    this.#host.release(bytes);
    this.#unacknowledged += bytes;
    if (this.remoteEnded || this.#unacknowledged < this.#window / 2) return;
    const increment = this.#unacknowledged;
    this.#unacknowledged = 0;
    this.receiveWindow += increment;
    this.#host.sendWindowUpdate(this, increment);
  }

  /** Calls back once all that was sent so far is on its way. */
  afterFlush(callback: () => void): void {
    this.#host.afterFlush(callback);
  }

  /** Ends it at once, in both directions; the reader hears no more of it. */
  reset(code: ErrorCode): void {
    if (this.#closed) return;
    this.#host.sendReset(this, code);
    this.#finish();
  }

  /** Called by the connection: the peer has ended its side. */
  endRemote(): void {
    this.remoteEnded = true;
    this.#closeWhenDone();
  }

  /** Called by the connection: nothing more will come or go. */
  abort(code: number): void {
    if (this.#closed) return;
    this.#finish();
    this.reader?.closed(code);
  }

  #endLocal(): void {
    this.localEnded = true;
    if (this.abandonsRest && !this.remoteEnded) {
      this.reset(errorCode.noError);
      this.reader?.closed(errorCode.noError);
      return;
    }
    this.#closeWhenDone();
  }

  #closeWhenDone(): void {
    if (this.#closed || !this.localEnded || !this.remoteEnded) return;
    this.#finish();
    this.reader?.closed(errorCode.noError);
  }

  #finish(): void {
    this.#closed = true;
    this.#queue = [];
    if (this.#outstanding > 0) this.#host.release(this.#outstanding);
    this.#source = undefined;
    this.#host.forget(this);
  }
}

const empty = Buffer.alloc(0);
