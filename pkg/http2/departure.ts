import { errorCode } from './error-codes.ts';
import { maxWindow, toGoaway, toPing } from './frames.ts';

/** How long a peer may take its last answers, in milliseconds. */
const lastAnswers = 30_000;
/** How long clients have to hear that a connection goes, before streams of theirs are refused. */
const notice = 2_000;
const drainPing = Buffer.from('tulle-gw', 'latin1');

export interface DepartureHost {
  /** Streams that are open. */
  readonly streams: number;
  readonly destroyed: boolean;
  /** The last stream that the peer has opened. */
  readonly lastStream: number;
  write(frame: Buffer): void;
  /** Ends the connection; the peer may take so long for what was written. */
  end(patience: number): void;
  /** No stream of ours will be opened any more. */
  onRetired(): void;
}

/** How a connection comes to its end with nothing lost: whichever side wants it to (RFC 9113 §6.8). */
export class Departure {
  /** It ends when its streams have ended. */
  draining = false;
  /** We have told the peer the last of its streams that counts. */
  goneAway = false;
  /** No stream of ours may be opened any more. */
  retired = false;
  readonly #role: 'client' | 'server';
  readonly #host: DepartureHost;

  constructor(role: 'client' | 'server', host: DepartureHost) {
    this.#role = role;
    this.#host = host;
  }

  /** We go. Clients hear of it before any stream of theirs is refused. */
  drain(): void {
    const host = this.#host;
    if (this.draining || host.destroyed) return;
    this.draining = true;
    if (this.#role === 'client') {
      this.retire();
      this.streamEnded();
      return;
    }
    // What the client opens before it has read this still counts; its answer to the ping says when it has.
    host.write(toGoaway(maxWindow, errorCode.noError));
    host.write(toPing(drainPing, false));
    setTimeout(() => this.#goAway(), notice).unref();
  }

  /** The peer has answered a PING. */
  pinged(payload: Buffer): void {
    if (this.draining && payload.equals(drainPing)) this.#goAway();
  }

  /** The peer goes: it opens nothing more, and what is open comes to its end. */
  follow(): void {
    this.retire();
    this.draining = true;
    this.goneAway = true;
  }

  retire(): void {
    if (this.retired) return;
    this.retired = true;
    this.#host.onRetired();
  }

  /** Closes once nothing is open that counts. */
  streamEnded(): void {
    const host = this.#host;
    if (!this.draining || host.destroyed || host.streams > 0) return;
    if (this.#role === 'client' || this.goneAway) host.end(lastAnswers);
  }

  #goAway(): void {
    const host = this.#host;
    if (this.goneAway || host.destroyed) return;
    this.goneAway = true;
    host.write(toGoaway(host.lastStream, errorCode.noError));
    this.streamEnded();
  }
}
