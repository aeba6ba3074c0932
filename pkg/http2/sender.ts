import type { Socket } from 'node:net';
import { toDataHeader, toHeaderFrames, toReset, toWindowUpdate } from './frames.ts';
import { HpackEncoder } from './hpack-encoder.ts';
import { Outbox } from './outbox.ts';
import type { Http2Stream, StreamSender } from './stream.ts';
import { ConnectionWindows } from './windows.ts';

export interface SenderHost {
  /** The peer has taken what it had to take first. */
  relieved(): void;
  /** The peer reads nothing of what it asks for. */
  overflows(): void;
}

/** The side of a connection that writes: heads in the order of their coding, bodies as the windows allow. */
export class Sender implements StreamSender {
  readonly encoder = new HpackEncoder();
  readonly windows: ConnectionWindows;
  readonly out: Outbox;
  #closed = false;
  readonly #isBlocked = (): boolean => this.out.blocked;

  constructor(socket: Socket, window: number, host: SenderHost) {
    this.windows = new ConnectionWindows(window);
    this.out = new Outbox(socket, {
      hasRoom: () => {
        this.pump();
        host.relieved();
      },
      overflows: () => host.overflows(),
    });
  }

  get room(): number {
    return this.windows.room;
  }

  get blocked(): boolean {
    return this.out.blocked;
  }

  write(frame: Buffer): void {
    if (!this.#closed) this.out.write(frame);
  }

  sendHeaders(id: number, fields: readonly string[], end: boolean): void {
    this.write(toHeaderFrames(id, this.encoder.encode(fields), end));
  }

  sendData(id: number, chunk: Buffer, end: boolean): void {
    this.windows.room -= chunk.length;
    this.write(toDataHeader(id, chunk.length, end));
    if (chunk.length > 0) this.write(chunk);
  }

  sendReset(id: number, code: number): void {
    this.write(toReset(id, code));
  }

  sendWindowUpdate(id: number, bytes: number): void {
    this.write(toWindowUpdate(id, bytes));
  }

  release(bytes: number): void {
    const increment = this.windows.release(bytes);
    if (increment > 0) this.write(toWindowUpdate(0, increment));
  }

  waits(stream: Http2Stream): void {
    this.windows.waits(stream);
  }

  afterFlush(callback: () => void): void {
    if (this.#closed) callback();
    else this.out.afterFlush(callback);
  }

  /** Streams that waited for the connection's window, or for the socket, go on. */
  pump(): void {
    this.windows.pump(this.#isBlocked);
  }

  /** Nothing is written any more. */
  close(): void {
    this.#closed = true;
    this.out.callBack();
  }
}
