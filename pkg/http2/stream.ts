import { BodyQueue } from './body-queue.ts';
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

/** The side of a connection that writes. */
export interface StreamSender {
  /** Bytes that the connection's window has left. */
  readonly room: number;
  /** The socket takes no more for now. */
  readonly blocked: boolean;
  sendHeaders(id: number, fields: readonly string[], end: boolean): void;
  sendData(id: number, chunk: Buffer, end: boolean): void;
  sendReset(id: number, code: number): void;
  sendWindowUpdate(id: number, bytes: number): void;
  /** So many bytes of the connection's window are free again. */
  release(bytes: number): void;
  /** It has something to send, a window for it, and no room. */
  waits(stream: Http2Stream): void;
  /** Calls back once all that was sent so far is the socket's. */
  afterFlush(callback: () => void): void;
}

export interface StreamOwner {
  forget(stream: Http2Stream): void;
  /** A reader threw. */
  crashed(stream: Http2Stream, error: unknown): void;
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
  /** Interim heads that came. */
  interims = 0;
  /** Once our side has ended, what the peer still sends is of no use (RFC 9113 §8.1). */
  abandonsRest = false;
  /** A head came, and is not an interim one. */
  headReceived = false;
  readonly #owner: StreamOwner;
  readonly #sender: StreamSender;
  readonly #window: number;
  #closed = false;
  #unacknowledged = 0;
  /** Received and not dealt with. */
  #outstanding = 0;
  #queue: BodyQueue | undefined;
  #end = false;
  #trailers: readonly string[] | undefined;
  #source: Http2Stream | undefined;

  constructor(owner: StreamOwner, sender: StreamSender, id: number, sendWindow: number, receiveWindow: number) {
    this.#owner = owner;
    this.#sender = sender;
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
    this.#sender.sendHeaders(this.id, fields, end);
    if (end) this.#endLocal();
  }

  /** In order; what there is no room for waits. */
  sendData(chunk: Buffer, end: boolean): void {
    if (this.#closed || this.localEnded || this.#end) return;
    this.#end = end;
    if (this.#queue !== undefined) this.#queue.push(chunk);
    else if (chunk.length > 0) this.#sendOrKeep(chunk);
    else if (end) this.#sendEnd();
  }

  /** After all data; ends our side. */
  sendTrailers(fields: readonly string[]): void {
    if (this.#closed || this.localEnded || this.#end) return;
    this.#end = true;
    this.#trailers = fields.length > 0 ? fields : undefined;
    if (this.#queue === undefined) this.#sendEnd();
  }

  /** Sends what there is room for. */
  pump(): void {
    const queue = this.#queue;
    while (queue !== undefined && !this.#closed) {
      const room = this.#room();
      if (room === 0) return;
      const chunk = queue.take(room);
      const isLast = queue.bytes === 0;
      if (isLast) this.#queue = undefined;
      this.#send(chunk, isLast);
      if (isLast) return;
    }
  }

  #sendOrKeep(chunk: Buffer): void {
    let rest = chunk;
    while (!this.#closed) {
      const room = this.#room();
      if (room === 0) {
        this.#queue = new BodyQueue();
        this.#queue.push(rest);
        return;
      }
      if (rest.length <= room) {
        this.#send(rest, true);
        return;
      }
      this.#send(rest.subarray(0, room), false);
      rest = rest.subarray(room);
    }
  }

  /** Bytes that may go out in one frame now. Where there is none, the stream is called when there is. */
  #room(): number {
    const sender = this.#sender;
    // Its own window wakes it by itself.
    if (this.sendWindow <= 0) return 0;
    if (sender.room > 0 && !sender.blocked) return Math.min(maxFrameSize, this.sendWindow, sender.room);
    sender.waits(this);
    return 0;
  }

  /** `isLast`: nothing waits behind it. */
  #send(chunk: Buffer, isLast: boolean): void {
    const end = isLast && this.#end && this.#trailers === undefined;
    this.sendWindow -= chunk.length;
    this.#sender.sendData(this.id, chunk, end);
    this.#source?.consumed(chunk.length);
    if (end) this.#endLocal();
    else if (isLast && this.#end) this.#sendEnd();
  }

  #sendEnd(): void {
    if (this.#trailers === undefined) this.#sender.sendData(this.id, empty, true);
    else this.#sender.sendHeaders(this.id, this.#trailers, true);
    this.#endLocal();
  }

  /** Called by the connection, before the reader has it. */
  received(bytes: number): void {
    this.receiveWindow -= bytes;
    this.#outstanding += bytes;
  }

  /** So many bytes of what came are dealt with: the peer may send as many more. */
  consumed(passed: number): void {
    if (this.#closed) return;
    // What was asked again passes twice.
    const bytes = Math.min(passed, this.#outstanding);
    this.#outstanding -= bytes;
    this.#sender.release(bytes);
    this.#unacknowledged += bytes;
    if (this.remoteEnded || this.#unacknowledged < this.#window / 2) return;
    const increment = this.#unacknowledged;
    this.#unacknowledged = 0;
    this.receiveWindow += increment;
    this.#sender.sendWindowUpdate(this.id, increment);
  }

  /** Calls back once all that was sent so far is on its way. */
  afterFlush(callback: () => void): void {
    this.#sender.afterFlush(callback);
  }

  /** Ends it at once, in both directions; the reader hears no more of it. */
  reset(code: ErrorCode): void {
    if (this.#closed) return;
    if (!this.localEnded || !this.remoteEnded) this.#sender.sendReset(this.id, code);
    this.#finish();
  }

  /** Called by the connection: nothing more will come or go. */
  abort(code: number): void {
    if (this.#closed) return;
    this.#finish();
    this.tellClosed(code);
  }

  /** Called by the connection, when the reader has all. */
  closeWhenDone(): void {
    if (this.#closed || !this.localEnded || !this.remoteEnded) return;
    this.#finish();
    this.tellClosed(errorCode.noError);
  }

  tellClosed(code: number): void {
    try {
      this.reader?.closed(code);
    } catch (error) {
      this.#owner.crashed(this, error);
    }
  }

  #endLocal(): void {
    this.localEnded = true;
    if (this.abandonsRest && !this.remoteEnded) {
      this.reset(errorCode.noError);
      this.tellClosed(errorCode.noError);
      return;
    }
    this.closeWhenDone();
  }

  #finish(): void {
    this.#closed = true;
    this.#queue = undefined;
    if (this.#outstanding > 0) this.#sender.release(this.#outstanding);
    this.#source = undefined;
    this.#owner.forget(this);
  }
}

const empty = Buffer.alloc(0);
