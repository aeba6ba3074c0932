import type { Socket } from 'node:net';

/** More than this waits for the peer, and streams wait too. */
const highWater = 512 * 1024;
/** More than this, and nothing more is read of a peer that does not read: heads and acknowledgements have no window. */
const fullMark = 2 * highWater;
/** More than this can only be meant. */
const mostQueued = 32 * highWater;

export interface OutboxHost {
  /** Streams may go on. */
  hasRoom(): void;
  /** The peer reads nothing of what it asks for. */
  overflows(): void;
}

/** Gathers what one turn of the event loop has to say: a write costs more than what is in it. */
export class Outbox {
  readonly #socket: Socket;
  readonly #host: OutboxHost;
  #frames: Buffer[] = [];
  #bytes = 0;
  #callbacks: (() => void)[] = [];
  #scheduled = false;
  #stalled = false;
  /** Somebody was told that there is no room. */
  #refused = false;
  readonly #later = (): void => {
    this.#scheduled = false;
    this.flush();
  };

  constructor(socket: Socket, host: OutboxHost) {
    this.#socket = socket;
    this.#host = host;
    socket.on('drain', () => this.#drained());
  }

  /** No more bodies for now; the host is told when there is room. */
  get blocked(): boolean {
    if (this.#bytes + this.#socket.writableLength <= highWater) return false;
    this.#refused = true;
    return true;
  }

  /** Nothing is read until the peer has taken what waits for it. */
  get stalled(): boolean {
    return this.#stalled;
  }

  write(frame: Buffer): void {
    this.#frames.push(frame);
    this.#bytes += frame.length;
    if (!this.#scheduled) {
      this.#scheduled = true;
      setImmediate(this.#later);
    }
    // One turn may read, and answer, many times what is a lot.
    if (this.#bytes > highWater) this.#pass();
  }

  flush(): void {
    this.#pass();
    this.callBack();
    if (this.#socket.writableLength > mostQueued) this.#host.overflows();
    // The socket is silent about what it could pass on at once.
    else if (this.#refused && !this.blocked) this.#roomAgain();
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

  #pass(): void {
    const frames = this.#frames;
    if (frames.length === 0) return;
    const socket = this.#socket;
    const bytes = this.#bytes;
    this.#frames = [];
    this.#bytes = 0;
    if (socket.destroyed || !socket.writable) return;
    socket.write(frames.length === 1 ? (frames[0] as Buffer) : Buffer.concat(frames, bytes));
    if (socket.writableLength > fullMark && !this.#stalled) {
      this.#stalled = true;
      socket.pause();
    }
  }

  #drained(): void {
    if (this.#stalled) {
      this.#stalled = false;
      this.#socket.resume();
    }
    this.#roomAgain();
  }

  #roomAgain(): void {
    this.#refused = false;
    this.#host.hasRoom();
  }
}
