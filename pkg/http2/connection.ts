import type { Socket } from 'node:net';
import { Patience } from './abuse.ts';
import type { ConnectionOptions } from './connection-options.ts';
import { Departure, type DepartureHost } from './departure.ts';
import { endSocket } from './end-socket.ts';
import { ConnectionError, type ErrorCode, errorCode } from './error-codes.ts';
import { toFirstWords } from './first-words.ts';
import { FrameDecoder } from './frame-decoder.ts';
import { toGoaway, toPing, toReset } from './frames.ts';
import { PeerControl } from './peer-control.ts';
import { Reception, type ReceptionHost } from './reception.ts';
import { Sender, type SenderHost } from './sender.ts';
import { Http2Stream, type StreamOwner, type StreamReader } from './stream.ts';
import { StreamTable } from './stream-table.ts';

/** How long a peer may take to read why its connection ends, in milliseconds. */
const lastWords = 1_000;
const question = Buffer.from('tulle-ka', 'latin1');

/** One HTTP/2 connection, either side (RFC 9113). Server push, priorities and upgrades are not spoken. */
export class Http2Connection implements StreamOwner, ReceptionHost, SenderHost, DepartureHost {
  readonly #socket: Socket;
  readonly #options: ConnectionOptions;
  readonly #streams = new StreamTable();
  readonly #sender: Sender;
  readonly #peer: PeerControl;
  readonly #frames: FrameDecoder;
  readonly #reception: Reception;
  readonly #patience: Patience;
  /** What the peer did wrong, once the connection has ended for it. */
  failure: string | undefined;
  readonly #departure: Departure;
  /** Something came since it was last asked. */
  #heard = false;
  #ended = false;
  #destroyed = false;

  constructor(socket: Socket, role: 'client' | 'server', options: ConnectionOptions) {
    const { limits, onRequest } = options;
    this.#socket = socket;
    this.#options = options;
    const sender = new Sender(socket, limits.connectionWindow, this);
    this.#sender = sender;
    this.#reception = new Reception(this, role, limits, onRequest);
    this.#patience = new Patience(options.now);
    this.#departure = new Departure(role, this);
    this.#peer = new PeerControl({
      role,
      streams: this.#streams,
      sender,
      reception: this.#reception,
      departure: this.#departure,
      patience: this.#patience,
      refuse: (stream, code) => this.refuse(stream, code),
      refuseUnopened: (id, code) => this.refuseUnopened(id, code),
      onReady: () => options.onReady?.(),
    });
    this.#frames = new FrameDecoder(role, 2 * limits.headerBytes, this.#peer, this.#reception);
    sender.write(toFirstWords(role, limits, sender.windows.firstIncrement));
    socket.on('data', (chunk: Buffer) => this.#push(chunk));
    socket.on('error', () => this.destroy());
    socket.on('end', () => this.destroy());
    socket.on('close', () => this.destroy());
    // It has said so before anybody listened.
    if (socket.destroyed) setImmediate(() => this.destroy());
  }

  get streams(): number {
    return this.#streams.size;
  }

  get destroyed(): boolean {
    return this.#destroyed;
  }

  /** The peer is in the middle of what it must not be slow with: its first words, a header block, taking its answers. */
  get halfway(): boolean {
    return this.#frames.halfway || this.#sender.out.stalled;
  }

  get draining(): boolean {
    return this.#departure.draining;
  }

  /** Can one more stream be opened? */
  get open(): boolean {
    return this.#peer.ready && !this.#departure.retired && !this.#destroyed && this.#streams.size < this.#peer.streams;
  }

  get retired(): boolean {
    return this.#departure.retired || this.#destroyed;
  }

  /** Has anything come since this was last called? */
  takeHeard(): boolean {
    const heard = this.#heard;
    this.#heard = false;
    return heard;
  }

  /** Asks the peer whether it is there (PING). */
  ask(): void {
    if (!this.#destroyed) this.#sender.write(toPing(question, false));
  }

  /** Clients: begins a request. Only while `open`. `bodiless`: its answer has no body whatever length it tells. */
  request(fields: readonly string[], end: boolean, reader: StreamReader, bodiless = false): Http2Stream {
    const reception = this.#reception;
    const stream = this.#add(reception.nextStream, reader);
    stream.bodiless = bodiless;
    reception.nextStream += 2;
    if (reception.nextStream > 0x3fff_ffff) this.#departure.retire();
    stream.sendHeaders(fields, end);
    return stream;
  }

  /** Ends it when its streams have ended. */
  drain(): void {
    this.#departure.drain();
  }

  destroy(): void {
    if (this.#destroyed) return;
    this.#socket.destroy();
    this.#finish();
  }

  // What streams and what writes them tell.

  forget(stream: Http2Stream): void {
    this.#streams.delete(stream.id);
    this.#sender.windows.forget(stream);
    if (stream.localEnded && stream.remoteEnded) this.#patience.earn();
    this.#options.onActivity?.();
    this.#departure.streamEnded();
  }

  crashed(stream: Http2Stream, error: unknown): void {
    this.#options.onCrash?.(error);
    if (stream.closed) return;
    stream.reset(errorCode.internalError);
    stream.tellClosed(errorCode.internalError);
  }

  relieved(): void {
    this.#options.onActivity?.();
  }

  overflows(): void {
    this.failure ??= 'answers are not read';
    this.destroy();
  }

  // The end.

  get lastStream(): number {
    return this.#reception.lastStream;
  }

  write(frame: Buffer): void {
    this.#sender.write(frame);
  }

  onRetired(): void {
    this.#options.onRetired?.();
  }

  end(patience: number): void {
    if (this.#ended) return;
    this.#ended = true;
    this.#sender.out.flush();
    endSocket(this.#socket, patience);
  }

  #fail(error: unknown): void {
    const { code, message } =
      error instanceof ConnectionError ? error : new ConnectionError(errorCode.internalError, String(error));
    this.failure = message;
    this.#sender.write(toGoaway(this.#reception.lastStream, code));
    this.end(lastWords);
    this.#finish();
  }

  #finish(): void {
    this.#destroyed = true;
    this.#frames.stop();
    for (const stream of this.#streams.values()) stream.abort(errorCode.cancel);
    this.#departure.retire();
    this.#sender.close();
    this.#options.onClosed?.();
  }

  // What the peer says.

  #push(chunk: Buffer): void {
    if (this.#destroyed) return;
    this.#heard = true;
    try {
      this.#frames.push(chunk);
    } catch (error) {
      this.#fail(error);
    }
    this.#options.onActivity?.();
  }

  find(id: number): Http2Stream | undefined {
    return this.#streams.get(id);
  }

  get admits(): boolean {
    return !this.#departure.goneAway && this.#streams.size < this.#options.limits.streams;
  }

  admit(id: number): Http2Stream {
    return this.#add(id, undefined);
  }

  received(bytes: number): void {
    this.#sender.windows.received(bytes);
  }

  release(bytes: number): void {
    this.#sender.release(bytes);
  }

  burden(): void {
    this.#patience.spend();
  }

  refuse(stream: Http2Stream, code: ErrorCode): void {
    this.#patience.spend();
    stream.reset(code);
    stream.tellClosed(code);
  }

  refuseUnopened(id: number, code: ErrorCode): void {
    this.#patience.spend();
    this.#sender.write(toReset(id, code));
  }

  #add(id: number, reader: StreamReader | undefined): Http2Stream {
    const stream = new Http2Stream(
      this,
      this.#sender,
      id,
      this.#sender.windows.peerInitial,
      this.#options.limits.streamWindow,
    );
    stream.reader = reader;
    this.#streams.add(stream);
    this.#options.onActivity?.();
    return stream;
  }
}
