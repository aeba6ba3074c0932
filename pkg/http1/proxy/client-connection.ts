import type { Duplex } from 'node:stream';
import type { RequestHead } from '../head.ts';
import type { Limits } from '../limits.ts';
import { event } from '../message-parser.ts';
import { toStatus } from '../refusal.ts';
import { RequestParser } from '../request-parser.ts';
import type { Timed } from './deadlines.ts';
import { Exchange } from './exchange.ts';
import type { ExchangeClient, ExchangeTools } from './exchange.ts';
import type { Handler, LocalReply, Take } from './handler.ts';
import { breakOff, toReplyBytes } from './wire.ts';

export interface ClientOptions extends ExchangeTools {
  readonly limits: Limits;
  readonly handler: Handler;
  /** The socket has closed, or is no more HTTP/1.1. */
  readonly onGone: (connection: ClientConnection) => void;
}

/**
 * One HTTP/1.1 connection of a client: its requests one by one, each decided by the handler. The socket must have
 * `allowHalfOpen`, and is the connection's from now on.
 */
export class ClientConnection implements Timed, ExchangeClient {
  readonly socket: Duplex;
  deadline: number;

  readonly #options: ClientOptions;
  readonly #parser: RequestParser;
  #exchange: Exchange | undefined;
  #requestDone = true;
  #hasBody = false;
  #method = '';
  #minor: 0 | 1 = 1;
  #keepAlive = true;
  #held = false;
  #lingering = false;
  #clientEnded = false;
  #reading = false;
  #gone = false;

  constructor(socket: Duplex, options: ClientOptions) {
    this.socket = socket;
    this.#options = options;
    this.#parser = new RequestParser(options.limits);
    this.deadline = options.deadlines.after(options.timeouts.head);
    options.deadlines.add(this);
    socket.on('drain', this.#onDrain);
    socket.on('end', this.#onEnd);
    socket.on('error', this.#onGone);
    socket.on('close', this.#onGone);
    socket.on('data', this.#onData);
  }

  /** Ends it as soon as nothing is under way. */
  drain(): void {
    if (this.#exchange === undefined && this.#parser.idle) this.#finish();
  }

  /** Breaks off what is under way; what was answered still goes out. */
  destroy(): void {
    const { socket } = this;
    if (this.#exchange !== undefined || socket.writableLength === 0) {
      socket.destroy();
      return;
    }
    socket.end(() => socket.destroy());
    setTimeout(() => socket.destroy(), this.#options.timeouts.linger).unref();
  }

  expire(): void {
    if (this.#exchange !== undefined) {
      if (this.#clientEnded) this.socket.destroy();
      return;
    }
    if (this.#lingering || this.#parser.idle) {
      this.socket.destroy();
      return;
    }
    this.#reply(this.#options.handler.onRefused('timeout', 408), true);
  }

  draining(): boolean {
    return this.#options.handler.draining() || this.#saidAll;
  }

  onRequestWanted(): void {
    this.#read();
    if (this.#exchange?.ready === true && !this.#requestDone) this.#release();
  }

  onAnswered(close: boolean): void {
    this.#exchange = undefined;
    this.#next(close);
  }

  onFailed(reply: LocalReply): void {
    this.#exchange = undefined;
    if (this.#gone) return;
    const complete = this.#requestDone || this.#discardRest();
    this.#reply(reply, !complete || !this.#keepAlive);
  }

  onBroken(unframed: boolean): void {
    this.#exchange = undefined;
    if (unframed) breakOff(this.socket);
    else this.socket.destroy();
  }

  detach(): Buffer {
    const { socket } = this;
    this.#exchange = undefined;
    this.#leave();
    socket.off('data', this.#onData);
    socket.off('drain', this.#onDrain);
    socket.off('end', this.#onEnd);
    socket.off('error', this.#onGone);
    socket.off('close', this.#onGone);
    socket.pause();
    return this.#parser.takeRest();
  }

  readonly #onData = (chunk: Buffer): void => {
    if (this.#lingering) return;
    this.#parser.push(chunk);
    this.#read();
  };

  readonly #onDrain = (): void => {
    if (this.#exchange !== undefined) this.#exchange.onClientDrain();
    else if (!this.#lingering) this.#goOn();
  };

  readonly #onEnd = (): void => {
    this.#clientEnded = true;
    if (this.#lingering || this.#gone) return;
    const { halfClosed } = this.#options.timeouts;
    if (this.#exchange === undefined) this.#finish();
    else if (this.#requestDone && halfClosed > 0) this.deadline = this.#options.deadlines.after(halfClosed);
    else this.socket.destroy();
  };

  readonly #onGone = (): void => {
    if (this.#gone) return;
    this.#leave();
    this.socket.destroy();
    this.#exchange?.abort();
    this.#exchange = undefined;
  };

  #leave(): void {
    this.#gone = true;
    this.#options.deadlines.remove(this);
    this.#options.onGone(this);
  }

  /** Takes from the parser what may be taken now. */
  #read(): void {
    // What is called from here may come back here: the loop goes on with it.
    if (this.#reading) return;
    this.#reading = true;
    this.#readOn();
    this.#reading = false;
  }

  #readOn(): void {
    const parser = this.#parser;
    for (;;) {
      if (this.#gone || this.#lingering) return;
      if (this.#exchange === undefined && this.#requestDone && this.socket.writableNeedDrain) {
        // A client that takes no answers gets no more requests in.
        this.#hold();
        return;
      }
      const exchange = this.#exchange;
      if (exchange !== undefined && this.#mustWait(exchange)) {
        // Pipelined requests, and bodies that nobody takes yet, wait where they are.
        if (parser.buffered) this.#hold();
        return;
      }
      switch (parser.next()) {
        case event.more:
          exchange?.flushRequest();
          if (this.#clientEnded) this.#endShort();
          else if (exchange === undefined && this.#requestDone) this.#idle();
          return;
        case event.head:
          this.#begin(parser.head!);
          break;
        case event.body:
          this.#onBody(parser.body);
          break;
        case event.end:
          this.#requestDone = true;
          exchange?.requestEnded();
          break;
        case event.paused:
          if (exchange?.maySwitch === true) return;
          parser.resume();
          break;
        default:
          this.#onRefused();
          return;
      }
    }
  }

  #mustWait(exchange: Exchange): boolean {
    if (!this.#requestDone) return this.#hasBody && !exchange.ready;
    return !exchange.maySwitch || this.#parser.buffered;
  }

  #begin(head: RequestHead): void {
    this.#hasBody = head.framing !== 'none';
    this.#requestDone = false;
    this.#method = head.method;
    this.#minor = head.minor;
    this.#keepAlive = head.keepAlive;
    const { deadlines, timeouts } = this.#options;
    this.deadline = this.#clientEnded ? deadlines.after(timeouts.halfClosed) : Infinity;
    const ruling = this.#options.handler.onRequest(head);
    if (ruling.kind === 'reply') {
      const complete = this.#discardRest();
      this.#reply(ruling, !complete || !head.keepAlive);
    } else if (ruling.kind === 'take') this.#take(ruling);
    else {
      this.#exchange = new Exchange(this, head, ruling, this.#options);
      this.#exchange.attempt();
    }
  }

  /** The client has ended its side, and nothing of it waits to be read. */
  get #saidAll(): boolean {
    return this.#clientEnded && !this.#parser.buffered;
  }

  /** The client has ended its side in the middle of a request, or behind the last one. */
  #endShort(): void {
    if (!this.#requestDone) this.socket.destroy();
    else if (this.#exchange === undefined) this.#finish();
  }

  #take(ruling: Take): void {
    ruling.take(this.socket, this.detach());
  }

  #onBody(bytes: Buffer): void {
    if (this.#exchange !== undefined && !this.#exchange.sendBody(bytes)) this.#hold();
  }

  /** Throws the rest of the current request away as far as it has come; true when that was all of it. */
  #discardRest(): boolean {
    const parser = this.#parser;
    for (;;) {
      const found = parser.next();
      if (found === event.body) continue;
      if (found !== event.end) return false;
      this.#requestDone = true;
      return true;
    }
  }

  #reply(reply: LocalReply, close: boolean): void {
    const last = close || reply.close === true || this.draining();
    this.socket.write(
      toReplyBytes(reply, {
        bodiless: this.#method === 'HEAD',
        close: last,
        minor: this.#minor,
      }),
    );
    this.#next(last);
  }

  /** The answer is complete: on to the next request, or to the end. */
  #next(close: boolean): void {
    if (this.#gone) return;
    if (close || this.#saidAll) {
      this.#finish();
      return;
    }
    if (!this.#requestDone) {
      // The answer came before the end of its request.
      if (!this.#discardRest()) {
        this.#finish();
        return;
      }
    }
    this.deadline = this.#options.deadlines.after(this.#options.timeouts.clientIdle);
    this.#goOn();
  }

  #goOn(): void {
    this.#release();
    if (this.#parser.buffered) this.#read();
  }

  #onRefused(): void {
    const { refusal } = this.#parser;
    const exchange = this.#exchange;
    if (exchange !== undefined) {
      // The body is no body: neither side may take what was sent for a whole message.
      this.#exchange = undefined;
      exchange.abort(refusal, exchange.answered ? undefined : toStatus(refusal));
      if (exchange.answered) {
        this.socket.destroy();
        return;
      }
    }
    // Nothing behind an answer that was the last one is read, malformed or not.
    if (refusal === 'dataAfterClose') {
      this.#finish();
      return;
    }
    this.#method = '';
    this.#reply(this.#options.handler.onRefused(refusal, toStatus(refusal)), true);
  }

  #idle(): void {
    const { timeouts, deadlines } = this.#options;
    if (!this.#parser.idle && this.deadline > deadlines.after(timeouts.head)) {
      this.deadline = deadlines.after(timeouts.head);
    }
  }

  /** Ends our side, and listens to the client for a while: a reset would take the answer away from under its eyes. */
  #finish(): void {
    if (this.#lingering || this.#gone) return;
    this.#lingering = true;
    this.deadline = this.#options.deadlines.after(this.#options.timeouts.linger);
    this.socket.end();
    this.#held = false;
    this.socket.resume();
  }

  #hold(): void {
    if (this.#held) return;
    this.#held = true;
    this.socket.pause();
  }

  #release(): void {
    if (!this.#held) return;
    this.#held = false;
    this.socket.resume();
  }
}
