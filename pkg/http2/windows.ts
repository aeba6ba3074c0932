import { ConnectionError, errorCode } from './error-codes.ts';
import { maxWindow } from './frames.ts';
import type { Http2Stream } from './stream.ts';

const initialWindow = 65_535;

/** The windows of a connection as a whole, and the streams that wait for room in it (RFC 9113 §5.2, §6.9). */
export class ConnectionWindows {
  /** Bytes that the peer takes, on all streams together. */
  room = initialWindow;
  /** What the peer takes on each new stream. */
  peerInitial = initialWindow;
  readonly #size: number;
  /** Bytes that the peer may still send. */
  #receive: number;
  #unacknowledged = 0;
  /** Streams that have something to send and room of their own for it. */
  readonly #waiting = new Set<Http2Stream>();

  /** `size`: bytes that a peer may have in flight. */
  constructor(size: number) {
    this.#size = size;
    this.#receive = size;
  }

  /** The increment that opens the window to its size at the beginning. */
  get firstIncrement(): number {
    return this.#size - initialWindow;
  }

  opened(increment: number): void {
    this.room += increment;
    if (this.room > maxWindow) throw new ConnectionError(errorCode.flowControlError, 'the window overflows');
  }

  received(bytes: number): void {
    this.#receive -= bytes;
    if (this.#receive < 0) {
      throw new ConnectionError(errorCode.flowControlError, 'more than the window of the connection');
    }
  }

  /** So many bytes are dealt with. What the peer is to be told of it now, 0: nothing yet. */
  release(bytes: number): number {
    this.#unacknowledged += bytes;
    if (this.#unacknowledged < this.#size / 2) return 0;
    const increment = this.#unacknowledged;
    this.#receive += increment;
    this.#unacknowledged = 0;
    return increment;
  }

  /** The peer's SETTINGS_INITIAL_WINDOW_SIZE: it changes what is open too. */
  setPeerInitial(value: number, streams: Iterable<Http2Stream>): void {
    const change = value - this.peerInitial;
    this.peerInitial = value;
    for (const stream of streams) {
      stream.sendWindow += change;
      if (stream.sendWindow > maxWindow) throw new ConnectionError(errorCode.flowControlError, 'a window overflows');
      if (change > 0) stream.pump();
    }
  }

  waits(stream: Http2Stream): void {
    this.#waiting.add(stream);
  }

  forget(stream: Http2Stream): void {
    this.#waiting.delete(stream);
  }

  /** Streams send, each in its turn: what could send only a part waits again, at the end. */
  pump(blocked: () => boolean): void {
    for (const stream of this.#waiting) {
      if (this.room <= 0 || blocked()) return;
      this.#waiting.delete(stream);
      stream.pump();
    }
  }
}
