import type { Socket } from 'node:net';
import { Patience } from './abuse.ts';
import type { ConnectionOptions } from './connection-options.ts';
import { endSocket } from './end-socket.ts';
import { ConnectionError, type ErrorCode, errorCode } from './error-codes.ts';
import { toFirstWords } from './first-words.ts';
import { FrameDecoder, type FrameEvents, protocolError } from './frame-decoder.ts';
import { maxWindow, settingsAck, toGoaway, toPing, toReset } from './frames.ts';
import { PeerSettings } from './peer-settings.ts';
import { Reception, type ReceptionHost } from './reception.ts';
import { Sender, type SenderHost } from './sender.ts';
import { Http2Stream, type StreamOwner, type StreamReader } from './stream.ts';
import { StreamTable } from './stream-table.ts';

/** How long a peer may take what was written before the end, in milliseconds: its answers, or why it has none. */
const lastAnswers = 30_000;
const lastWords = 1_000;
/** How long clients have to hear that a connection goes, before streams of theirs are refused. */
const notice = 2_000;
const drainPing = Buffer.from('tulle-gw', 'latin1');

/** One HTTP/2 connection, either side (RFC 9113). Server push, priorities and upgrades are not spoken. */
export class Http2Connection implements StreamOwner, FrameEvents, ReceptionHost, SenderHost {
  readonly #socket: Socket;
  readonly #role: 'client' | 'server';
  readonly #options: ConnectionOptions;
  readonly #streams = new StreamTable();
  readonly #sender: Sender;
  readonly #peer: PeerSettings;
  readonly #frames: FrameDecoder;
  readonly #reception: Reception;
  readonly #patience: Patience;
  /** What the peer did wrong, once the connection has ended for it. */
  failure: string | undefined;
  #ready = false;
  #draining = false;
  /** We have told the peer the last of its streams that counts. */
  #goneAway = false;
  /** No stream of ours may be opened any more. */
  #retired = false;
  #ended = false;
  #destroyed = false;

  constructor(socket: Socket, role: 'client' | 'server', options: ConnectionOptions) {
    const { limits, onRequest } = options;
    this.#socket = socket;
    this.#role = role;
    this.#options = options;
    const sender = new Sender(socket, limits.connectionWindow, this);
    this.#sender = sender;
    this.#peer = new PeerSettings((size) => sender.encoder.setTableSize(size));
    this.#reception = new Reception(this, role, limits, onRequest);
    this.#frames = new FrameDecoder(role, 2 * limits.headerBytes, this, this.#reception);
    this.#patience = new Patience(options.now);
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
    return this.#draining;
  }

  /** Can one more stream be opened? */
  get open(): boolean {
    return this.#ready && !this.#retired && !this.#destroyed && this.#streams.size < this.#peer.streams;
  }

  get retired(): boolean {
    return this.#retired || this.#destroyed;
  }

  /** Clients: begins a request. Only while `open`. `bodiless`: its answer has no body whatever length it tells. */
  request(fields: readonly string[], end: boolean, reader: StreamReader, bodiless = false): Http2Stream {
    const reception = this.#reception;
    const stream = this.#add(reception.nextStream, reader);
    stream.bodiless = bodiless;
    reception.nextStream += 2;
    if (reception.nextStream > 0x3fff_ffff) this.#retire();
    stream.sendHeaders(fields, end);
    return stream;
  }

  /** Ends it when its streams have ended. Clients hear of it before any stream of theirs is refused. */
  drain(): void {
    if (this.#draining || this.#destroyed) return;
    this.#draining = true;
    if (this.#role === 'client') {
      this.#retire();
      this.#closeWhenDrained();
      return;
    }
    // What the client opens before it has read this still counts; its answer to the ping says when it has.
    this.#sender.write(toGoaway(maxWindow, errorCode.noError));
    this.#sender.write(toPing(drainPing, false));
    setTimeout(() => this.#goAway(), notice).unref();
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
    this.#closeWhenDrained();
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

  #goAway(): void {
    if (this.#goneAway || this.#destroyed) return;
    this.#goneAway = true;
    this.#sender.write(toGoaway(this.#reception.lastStream, errorCode.noError));
    this.#closeWhenDrained();
  }

  #closeWhenDrained(): void {
    if (!this.#draining || this.#destroyed || this.#streams.size > 0) return;
    if (this.#role === 'server' && !this.#goneAway) return;
    this.#end(lastAnswers);
  }

  #retire(): void {
    if (this.#retired) return;
    this.#retired = true;
    this.#options.onRetired?.();
  }

  #fail(error: unknown): void {
    const { code, message } =
      error instanceof ConnectionError ? error : new ConnectionError(errorCode.internalError, String(error));
    this.failure = message;
    this.#sender.write(toGoaway(this.#reception.lastStream, code));
    this.#end(lastWords);
    this.#finish();
  }

  #end(patience: number): void {
    if (this.#ended) return;
    this.#ended = true;
    this.#sender.out.flush();
    endSocket(this.#socket, patience);
  }

  #finish(): void {
    this.#destroyed = true;
    this.#frames.stop();
    for (const stream of this.#streams.values()) stream.abort(errorCode.cancel);
    this.#retire();
    this.#sender.close();
    this.#options.onClosed?.();
  }

  // What the peer says.

  #push(chunk: Buffer): void {
    if (this.#destroyed) return;
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
    return !this.#goneAway && this.#streams.size < this.#options.limits.streams;
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

  reset(id: number, code: number): void {
    const stream = this.#openStream(id);
    if (stream === undefined) return;
    if (this.#role === 'server') this.#patience.spend();
    stream.abort(code);
  }

  setting(id: number, value: number): void {
    this.#peer.set(id, value);
  }

  settingsEnd(): void {
    this.#patience.spend();
    this.#sender.write(settingsAck);
    const initial = this.#peer.takeInitialWindow();
    if (initial !== undefined) this.#sender.windows.setPeerInitial(initial, this.#streams.values());
    if (this.#ready) return;
    this.#ready = true;
    this.#options.onReady?.();
  }

  ping(payload: Buffer, ack: boolean): void {
    if (!ack) this.#sender.write(toPing(payload, true));
    else if (this.#draining && payload.equals(drainPing)) this.#goAway();
  }

  idle(): void {
    this.#patience.spend();
  }

  wrongSize(id: number): void {
    this.refuseUnopened(id, errorCode.frameSizeError);
  }

  goaway(last: number): void {
    this.#patience.spend();
    this.#retire();
    // A peer that goes opens nothing more; what is open comes to its end.
    this.#draining = true;
    this.#goneAway = true;
    if (this.#role === 'client') {
      // Those were not looked at, and may be asked again.
      for (const stream of this.#streams.values()) if (stream.id > last) stream.abort(errorCode.refusedStream);
    }
    this.#closeWhenDrained();
  }

  windowUpdate(id: number, increment: number): void {
    if (increment === 0) protocolError('a window update of 0');
    if (id === 0) {
      this.#sender.windows.opened(increment);
      this.#sender.pump();
      return;
    }
    const stream = this.#openStream(id);
    if (stream === undefined) return;
    stream.sendWindow += increment;
    if (stream.sendWindow > maxWindow) this.refuse(stream, errorCode.flowControlError);
    else stream.pump();
  }

  #openStream(id: number): Http2Stream | undefined {
    const stream = this.#streams.get(id);
    if (stream === undefined) this.#reception.checkKnown(id);
    return stream;
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
