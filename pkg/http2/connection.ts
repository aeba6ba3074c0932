import type { Socket } from 'node:net';
import { Patience } from './abuse.ts';
import { ConnectionError, type ErrorCode, errorCode } from './error-codes.ts';
import { FrameDecoder, type FrameEvents, protocolError } from './frame-decoder.ts';
import {
  maxFrameSize,
  maxWindow,
  preface,
  setting,
  settingsAck,
  toDataHeader,
  toGoaway,
  toHeaderFrames,
  toPing,
  toReset,
  toSettings,
  toWindowUpdate,
} from './frames.ts';
import { readRequestHead, readResponseHead, areTrailers, type Http2RequestHead } from './head.ts';
import { HpackDecoder, type HeaderBlock } from './hpack-decoder.ts';
import { HpackEncoder } from './hpack-encoder.ts';
import { Outbox } from './outbox.ts';
import { Http2Stream, type StreamHost, type StreamReader } from './stream.ts';

export interface ConnectionLimits {
  /** Bytes of a header list, each field counting 32 more; what is longer is not kept. */
  readonly headerBytes: number;
  readonly headerFields: number;
  /** Streams that a client may have open at once. */
  readonly streams: number;
  /** Bytes in flight on one stream. */
  readonly streamWindow: number;
  /** Bytes in flight on all streams together. */
  readonly connectionWindow: number;
}

export interface ConnectionOptions {
  readonly limits: ConnectionLimits;
  /** Milliseconds. */
  readonly now: () => number;
  /** Servers: a request has come. It must give the stream a reader before it returns, or end it. */
  readonly onRequest?: (stream: Http2Stream, head: Http2RequestHead, end: boolean, overflow: boolean) => void;
  /** The number of streams changed, or bytes moved. */
  readonly onActivity?: () => void;
  /** No new stream will be opened on it. */
  readonly onRetired?: () => void;
  readonly onClosed?: () => void;
}

/** So many acknowledgements may wait for a peer that does not read. */
const maxUnread = 1000;
/** How long a peer may take to close a connection that we have ended, in milliseconds. */
const lingering = 1000;
const drainPing = Buffer.from('tulle-gw', 'latin1');

/** One HTTP/2 connection, either side (RFC 9113). Server push, priorities and upgrades are not spoken. */
export class Http2Connection implements StreamHost, FrameEvents {
  readonly #socket: Socket;
  readonly #role: 'client' | 'server';
  readonly #options: ConnectionOptions;
  readonly #streams = new Map<number, Http2Stream>();
  readonly #waiting = new Set<Http2Stream>();
  readonly #out: Outbox;
  readonly #frames: FrameDecoder;
  readonly #hpack: HpackDecoder;
  readonly #encoder = new HpackEncoder();
  readonly #patience: Patience;
  /** What the peer did wrong, once the connection has ended for it. */
  failure: string | undefined;
  #draining = false;
  /** We have told the peer the last of its streams that counts. */
  #goneAway = false;
  /** No stream of ours may be opened any more. */
  #retired = false;
  #destroyed = false;
  #lastStream = 0;
  #nextStream = 1;
  #sendWindow = 65_535;
  #receiveWindow: number;
  #unacknowledged = 0;
  /** Acknowledgements since the socket's queue was empty. */
  #unread = 0;
  #peerWindow = 65_535;
  #peerStreams = 100;

  constructor(socket: Socket, role: 'client' | 'server', options: ConnectionOptions) {
    const { limits } = options;
    this.#socket = socket;
    this.#role = role;
    this.#options = options;
    this.#out = new Outbox(socket);
    this.#hpack = new HpackDecoder({ bytes: limits.headerBytes, fields: limits.headerFields });
    this.#frames = new FrameDecoder(role, 2 * limits.headerBytes, this);
    this.#patience = new Patience(options.now);
    this.#receiveWindow = limits.connectionWindow;
    if (role === 'client') this.#write(preface);
    this.#write(
      toSettings([
        [setting.enablePush, 0],
        [setting.maxConcurrentStreams, role === 'server' ? limits.streams : 0],
        [setting.initialWindowSize, limits.streamWindow],
        [setting.maxHeaderListSize, limits.headerBytes],
      ]),
    );
    this.#write(toWindowUpdate(0, limits.connectionWindow - 65_535));
    socket.on('data', (chunk: Buffer) => this.#push(chunk));
    socket.on('drain', () => this.#pump());
    socket.on('error', () => this.destroy());
    socket.on('end', () => this.destroy());
    socket.on('close', () => this.destroy());
  }

  get streams(): number {
    return this.#streams.size;
  }

  get destroyed(): boolean {
    return this.#destroyed;
  }

  /** The peer is in the middle of what it must not be slow with: its first words, a header block. */
  get halfway(): boolean {
    return this.#frames.halfway;
  }

  get draining(): boolean {
    return this.#draining;
  }

  /** Can one more stream be opened? */
  get open(): boolean {
    return !this.#retired && !this.#destroyed && this.#streams.size < this.#peerStreams;
  }

  get retired(): boolean {
    return this.#retired || this.#destroyed;
  }

  /** Clients: begins a request. Only while `open`. */
  request(fields: readonly string[], end: boolean, reader: StreamReader): Http2Stream {
    const stream = this.#add(this.#nextStream, reader);
    this.#nextStream += 2;
    if (this.#nextStream > 0x3fff_ffff) this.#retire();
    stream.sendHeaders(fields, end);
    return stream;
  }

  /** Ends it when its streams have ended. Clients hear of it before any stream of theirs is refused. */
  drain(): void {
    if (this.#draining || this.#destroyed) return;
    this.#draining = true;
    if (this.#role === 'client') {
      this.#retire();
    } else {
      // What the client opens before it has read this still counts; its answer to the ping says when it has.
      this.#write(toGoaway(maxWindow, errorCode.noError));
      this.#write(toPing(drainPing, false));
    }
    this.#closeWhenDrained();
  }

  destroy(): void {
    if (this.#destroyed) return;
    this.#socket.destroy();
    this.#finish(errorCode.cancel);
  }

  // What streams ask for.

  get room(): number {
    return this.#sendWindow;
  }

  get blocked(): boolean {
    return this.#out.blocked;
  }

  sendHeaders(stream: Http2Stream, fields: readonly string[], end: boolean): void {
    this.#write(toHeaderFrames(stream.id, this.#encoder.encode(fields), end));
  }

  sendData(stream: Http2Stream, chunk: Buffer, end: boolean): void {
    this.#sendWindow -= chunk.length;
    this.#write(toDataHeader(stream.id, chunk.length, end));
    if (chunk.length > 0) this.#write(chunk);
  }

  sendReset(stream: Http2Stream, code: number): void {
    this.#write(toReset(stream.id, code));
  }

  sendWindowUpdate(stream: Http2Stream, bytes: number): void {
    this.#write(toWindowUpdate(stream.id, bytes));
  }

  release(bytes: number): void {
    this.#unacknowledged += bytes;
    if (this.#destroyed || this.#unacknowledged < this.#options.limits.connectionWindow / 2) return;
    this.#receiveWindow += this.#unacknowledged;
    this.#write(toWindowUpdate(0, this.#unacknowledged));
    this.#unacknowledged = 0;
  }

  waits(stream: Http2Stream): void {
    this.#waiting.add(stream);
  }

  forget(stream: Http2Stream): void {
    this.#streams.delete(stream.id);
    this.#waiting.delete(stream);
    this.#options.onActivity?.();
    this.#closeWhenDrained();
  }

  afterFlush(callback: () => void): void {
    if (this.#destroyed) callback();
    else this.#out.afterFlush(callback);
  }

  // Writing.

  #write(frame: Buffer): void {
    if (!this.#destroyed) this.#out.write(frame);
  }

  #pump(): void {
    // Each in its turn: what could send only a part waits again, at the end.
    for (const stream of [...this.#waiting]) {
      if (this.#sendWindow <= 0 || this.blocked) return;
      this.#waiting.delete(stream);
      stream.pump();
    }
  }

  #closeWhenDrained(): void {
    if (!this.#draining || this.#destroyed || this.#streams.size > 0) return;
    if (this.#role === 'server' && !this.#goneAway) return;
    this.#out.flush();
    this.#end();
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
    this.#write(toGoaway(this.#lastStream, code));
    this.#out.flush();
    this.#finish(errorCode.cancel);
    this.#end();
  }

  /** Lets what was written go, and the peer close. */
  #end(): void {
    this.#socket.end();
    this.#socket.resume();
    setTimeout(() => this.#socket.destroy(), lingering).unref();
  }

  #finish(code: ErrorCode): void {
    this.#destroyed = true;
    this.#frames.stop();
    for (const stream of [...this.#streams.values()]) stream.abort(code);
    this.#retire();
    this.#out.callBack();
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

  data(id: number, bytes: Buffer, size: number, end: boolean): void {
    const stream = this.#streams.get(id);
    if (stream === undefined) this.#checkKnown(id);
    this.#receiveWindow -= size;
    if (this.#receiveWindow < 0) {
      throw new ConnectionError(errorCode.flowControlError, 'more than the window of the connection');
    }
    if (size === 0 && !end) this.#patience.spend();
    if (stream === undefined || stream.remoteEnded) {
      this.release(size);
      if (stream) this.#refuse(stream, errorCode.streamClosed);
      return;
    }
    if (size > stream.receiveWindow) {
      this.release(size);
      this.#refuse(stream, errorCode.flowControlError);
      return;
    }
    stream.received(size);
    // Padding is nobody's to deal with.
    if (size > bytes.length) stream.consumed(size - bytes.length);
    if (!stream.headReceived || !isExpected(stream, bytes.length, end)) {
      this.#refuse(stream, errorCode.protocolError);
      return;
    }
    stream.reader?.data(bytes, end);
    if (end) stream.endRemote();
  }

  headerBlock(id: number, bytes: Buffer, end: boolean): void {
    const block = this.#hpack.decode(bytes);
    const stream = this.#streams.get(id);
    if (stream) this.#moreHeaders(stream, block, end);
    else if (this.#role === 'server' && id > this.#lastStream) this.#openRequest(id, block, end);
    else this.#checkKnown(id);
  }

  #openRequest(id: number, { fields, overflow, malformed }: HeaderBlock, end: boolean): void {
    if ((id & 1) === 0) protocolError('a client opens streams of odd numbers');
    const { limits, onRequest } = this.#options;
    this.#lastStream = id;
    if (this.#goneAway || this.#streams.size >= limits.streams) {
      this.#patience.spend();
      this.#resetStream(id, errorCode.refusedStream);
      return;
    }
    const head = malformed ? undefined : readRequestHead(fields);
    if (!onRequest || (!head && !overflow)) {
      this.#patience.spend();
      this.#resetStream(id, errorCode.protocolError);
      return;
    }
    const stream = this.#add(id, undefined);
    stream.headReceived = true;
    stream.expected = head?.contentLength ?? -1;
    if (end && stream.expected > 0) {
      this.#refuse(stream, errorCode.protocolError);
      return;
    }
    onRequest(stream, head ?? tooLarge, end, overflow);
    if (end) stream.endRemote();
  }

  #moreHeaders(stream: Http2Stream, { fields, overflow, malformed }: HeaderBlock, end: boolean): void {
    const wrong = malformed || overflow || stream.remoteEnded;
    if (wrong || (stream.headReceived ? !end || !areTrailers(fields) : !this.#isResponse(stream, fields, end))) {
      this.#refuse(stream, errorCode.protocolError);
      return;
    }
    if (end && stream.expected > 0) {
      this.#refuse(stream, errorCode.protocolError);
      return;
    }
    stream.reader?.headers(fields, end);
    if (end) stream.endRemote();
  }

  #isResponse(stream: Http2Stream, fields: readonly string[], end: boolean): boolean {
    const head = this.#role === 'client' ? readResponseHead(fields) : undefined;
    if (!head) return false;
    if (head.status < 200) {
      this.#patience.spend();
      return !end;
    }
    stream.headReceived = true;
    // Answers to HEAD and 304 tell a length that does not come.
    stream.expected = end || stream.bodiless || head.status === 304 ? -1 : head.contentLength;
    return true;
  }

  reset(id: number, code: number): void {
    const stream = this.#streams.get(id);
    if (stream === undefined) {
      this.#checkKnown(id);
      return;
    }
    if (this.#role === 'server') this.#patience.spend();
    stream.abort(code);
  }

  setting(id: number, value: number): void {
    switch (id) {
      case setting.headerTableSize:
        this.#encoder.setTableSize(value);
        return;
      case setting.enablePush:
        if (value > 1) protocolError('SETTINGS_ENABLE_PUSH');
        return;
      case setting.maxConcurrentStreams:
        this.#peerStreams = value;
        return;
      case setting.initialWindowSize: {
        if (value > maxWindow) throw new ConnectionError(errorCode.flowControlError, 'the initial window is too large');
        const change = value - this.#peerWindow;
        this.#peerWindow = value;
        for (const stream of this.#streams.values()) {
          stream.sendWindow += change;
          if (stream.sendWindow > maxWindow)
            throw new ConnectionError(errorCode.flowControlError, 'a window overflows');
          if (change > 0) this.#waiting.add(stream);
        }
        return;
      }
      case setting.maxFrameSize:
        if (value < maxFrameSize || value > 0xff_ffff) protocolError('SETTINGS_MAX_FRAME_SIZE');
    }
  }

  settingsEnd(): void {
    this.#acknowledge(settingsAck);
    this.#pump();
  }

  ping(payload: Buffer, ack: boolean): void {
    if (!ack) {
      this.#acknowledge(toPing(payload, true));
    } else if (this.#draining && !this.#goneAway && payload.equals(drainPing)) {
      this.#goneAway = true;
      this.#write(toGoaway(this.#lastStream, errorCode.noError));
      this.#closeWhenDrained();
    }
  }

  idle(): void {
    this.#patience.spend();
  }

  wrongSize(id: number): void {
    this.#patience.spend();
    this.#resetStream(id, errorCode.frameSizeError);
  }

  goaway(last: number): void {
    this.#patience.spend();
    this.#retire();
    // A peer that goes opens nothing more; what is open comes to its end.
    this.#draining = true;
    this.#goneAway = true;
    if (this.#role === 'client') {
      // Those were not looked at, and may be asked again.
      for (const stream of [...this.#streams.values()]) if (stream.id > last) stream.abort(errorCode.refusedStream);
    }
    this.#closeWhenDrained();
  }

  windowUpdate(id: number, increment: number): void {
    if (increment === 0) protocolError('a window update of 0');
    if (id === 0) {
      this.#sendWindow += increment;
      if (this.#sendWindow > maxWindow) throw new ConnectionError(errorCode.flowControlError, 'the window overflows');
      this.#pump();
      return;
    }
    const stream = this.#streams.get(id);
    if (stream === undefined) {
      this.#checkKnown(id);
      return;
    }
    stream.sendWindow += increment;
    if (stream.sendWindow > maxWindow) this.#refuse(stream, errorCode.flowControlError);
    else stream.pump();
  }

  /** A peer that asks and does not read the answers would fill our memory. */
  #acknowledge(frame: Buffer): void {
    this.#unread = this.#socket.writableLength > 0 ? this.#unread + 1 : 0;
    if (this.#unread > maxUnread) throw new ConnectionError(errorCode.enhanceYourCalm, 'answers are not read');
    this.#write(frame);
  }

  /** A frame of a stream that never was ends the connection; one of a stream that has ended comes late. */
  #checkKnown(id: number): void {
    const isOurs = this.#role === 'client';
    const known = isOurs ? (id & 1) === 1 && id < this.#nextStream : id <= this.#lastStream;
    if (id === 0 || !known) protocolError(`a frame of stream ${id}, which is not open`);
  }

  #resetStream(id: number, code: ErrorCode): void {
    this.#write(toReset(id, code));
  }

  /** The peer broke a rule of this stream. */
  #refuse(stream: Http2Stream, code: ErrorCode): void {
    this.#patience.spend();
    stream.reset(code);
    stream.reader?.closed(code);
  }

  #add(id: number, reader: StreamReader | undefined): Http2Stream {
    const stream = new Http2Stream(this, id, this.#peerWindow, this.#options.limits.streamWindow);
    stream.reader = reader;
    this.#streams.set(id, stream);
    this.#options.onActivity?.();
    return stream;
  }
}

/** A request whose head was too large to be kept. */
const tooLarge: Http2RequestHead = {
  method: 'GET',
  scheme: 'http',
  authority: undefined,
  path: '/',
  fields: [],
  contentLength: -1,
};

function isExpected(stream: Http2Stream, bytes: number, end: boolean): boolean {
  if (stream.expected === -1) return true;
  stream.expected -= bytes;
  return end ? stream.expected === 0 : stream.expected >= 0;
}
