import type { Socket } from 'node:net';

/** More than this in the socket's queue, and streams wait. */
const highWater = 512 * 1024;

/** Gathers what one turn of the event loop has to say: a write costs more than what is in it. */
export class Outbox {
  readonly #socket: Socket;
  #frames: Buffer[] = [];
  #callbacks: (() => void)[] = [];
  #scheduled = false;
  readonly #later = (): void => this.flush();

  constructor(socket: Socket) {
    this.#socket = socket;
  }

  /** The socket takes no more for now; it emits `drain` when it does. */
  get blocked(): boolean {
    return this.#socket.writableLength > highWater;
  }

  write(frame: Buffer): void {
    this.#frames.push(frame);
    if (this.#scheduled) return;
    this.#scheduled = true;
    setImmediate(this.#later);
  }

  flush(): void {
    this.#scheduled = false;
    const frames = this.#frames;
    if (frames.length === 0) return;
    this.#frames = [];
    if (!this.#socket.destroyed && this.#socket.writable) {
      this.#socket.write(frames.length === 1 ? (frames[0] as Buffer) : Buffer.concat(frames));
    }
    this.callBack();
  }

  /** Calls back once all that was written so far is the socket's. */
  afterFlush(callback: () => void): void {
    if (this.#frames.length === 0) callback();
    else this.#callbacks.push(callback);
  }

  /** Nothing more will be flushed. */
  callBack(): void {
    if (this.#callbacks.length === 0) return;
    const callbacks = this.#callbacks;
    this.#callbacks = [];
    for (const callback of callbacks) callback();
  }
}
