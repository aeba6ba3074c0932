import type { Duplex } from 'node:stream';
import { field } from '../field-names.ts';
import type { ResponseHead } from '../head.ts';
import type { Limits } from '../limits.ts';
import { ResponseParser } from '../response-parser.ts';
import type { Deadlines, Timed } from './deadlines.ts';

/** Who uses a connection to an upstream at present. */
export interface UpstreamUser {
  /** Bytes have come and wait in the parser. */
  onUpstreamBytes(): void;
  /** It takes writes again. */
  onUpstreamDrain(): void;
  /** No more bytes come: it ended (`clean`), or broke. */
  onUpstreamEnd(clean: boolean): void;
  onUpstreamTimeout(): void;
}

/** One HTTP/1.1 connection to an upstream: busy with one exchange, or idle in the pool. */
export class UpstreamConnection implements Timed {
  readonly socket: Duplex;
  readonly key: string;
  readonly parser: ResponseParser;
  deadline = Infinity;
  /** It has carried an exchange before: its server may close it at any moment. */
  reused = false;
  /** A byte of the current answer has come. */
  answering = false;

  readonly #deadlines: Deadlines;
  readonly #onGone: (connection: UpstreamConnection) => void;
  #user: UpstreamUser | undefined;
  #ended = false;
  #held = false;

  constructor(
    socket: Duplex,
    key: string,
    limits: Limits,
    deadlines: Deadlines,
    onGone: (connection: UpstreamConnection) => void,
  ) {
    this.socket = socket;
    this.key = key;
    this.parser = new ResponseParser(limits);
    this.#deadlines = deadlines;
    this.#onGone = onGone;
    deadlines.add(this);
    socket.on('data', this.#onData);
    socket.on('drain', this.#onDrain);
    socket.on('end', this.#onEnd);
    socket.on('error', this.#onBroken);
    socket.on('close', this.#onBroken);
  }

  /** Fit for one more exchange. */
  get usable(): boolean {
    return !this.#ended && !this.socket.destroyed && this.socket.writable;
  }

  use(user: UpstreamUser): void {
    this.#user = user;
    this.answering = false;
  }

  /** Its exchange is over; true when it can carry another one. */
  leave(head: ResponseHead): boolean {
    this.#user = undefined;
    this.reused = true;
    return head.keepAlive && this.usable && this.parser.idle;
  }

  /** How long a server says that it keeps an idle connection, less one second for the way; Infinity: it doesn't say. */
  static keepAliveMillis(head: ResponseHead): number {
    const seconds = /(?:^|[ ,;])timeout=([0-9]{1,6})/i.exec(head.first(field.keepAlive) ?? '')?.[1];
    return seconds === undefined ? Infinity : Math.max(0, Number(seconds) - 1) * 1000;
  }

  /** Stops reading until `release`. */
  hold(): void {
    if (this.#held) return;
    this.#held = true;
    this.socket.pause();
  }

  release(): void {
    if (!this.#held) return;
    this.#held = false;
    this.socket.resume();
  }

  /** Gives the socket away, without listeners, paused. */
  detach(): Duplex {
    const { socket } = this;
    this.#user = undefined;
    this.#deadlines.remove(this);
    socket.off('data', this.#onData);
    socket.off('drain', this.#onDrain);
    socket.off('end', this.#onEnd);
    socket.off('error', this.#onBroken);
    socket.off('close', this.#onBroken);
    socket.pause();
    this.#onGone(this);
    return socket;
  }

  destroy(): void {
    this.#user = undefined;
    this.socket.destroy();
  }

  expire(): void {
    if (this.#user) this.#user.onUpstreamTimeout();
    else this.destroy();
  }

  readonly #onData = (chunk: Buffer): void => {
    if (this.#user === undefined) {
      // An answer to nothing; or 408 of a server that lost its patience.
      this.destroy();
      return;
    }
    this.answering = true;
    this.parser.push(chunk);
    this.#user.onUpstreamBytes();
  };

  readonly #onDrain = (): void => this.#user?.onUpstreamDrain();

  readonly #onEnd = (): void => this.#gone(true);

  readonly #onBroken = (): void => this.#gone(false);

  #gone(clean: boolean): void {
    if (this.#ended) return;
    this.#ended = true;
    this.#deadlines.remove(this);
    this.#onGone(this);
    if (this.#user) this.#user.onUpstreamEnd(clean);
    else this.socket.destroy();
  }
}
