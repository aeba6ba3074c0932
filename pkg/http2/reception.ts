import { type ErrorCode, errorCode } from './error-codes.ts';
import { areTrailers, type Http2RequestHead, readRequestHead, readResponseHead } from './head.ts';
import type { HeaderBlock } from './hpack-decoder.ts';
import { HpackDecoder } from './hpack-decoder.ts';
import { type MessageEvents, protocolError } from './frame-decoder.ts';
import type { Http2Stream } from './stream.ts';

/** A request has come. It must give the stream a reader before it returns, or end it. */
export type OnRequest = (stream: Http2Stream, head: Http2RequestHead, end: boolean, overflow: boolean) => void;

/** What is needed of the connection to make requests and answers of what comes. */
export interface ReceptionHost {
  /** The stream, as long as it is open. */
  find(id: number): Http2Stream | undefined;
  /** Servers: room for a stream more. */
  readonly admits: boolean;
  /** Servers: opens the stream of a client. */
  admit(id: number): Http2Stream;
  /** So many bytes came, on whatever stream. */
  received(bytes: number): void;
  release(bytes: number): void;
  /** The peer broke a rule of this stream, or did what is too often nothing but a burden. */
  refuse(stream: Http2Stream, code: ErrorCode): void;
  /** The same, of one that has not been opened. */
  refuseUnopened(id: number, code: ErrorCode): void;
  /** Something that moves nothing. */
  burden(): void;
  crashed(stream: Http2Stream, error: unknown): void;
}

const maxInterims = 32;

/** What heads, bodies and trailers mean to their streams, and whether they are what RFC 9113 §8 allows. */
export class Reception implements MessageEvents {
  /** The last that a client has opened. */
  lastStream = 0;
  readonly #host: ReceptionHost;
  readonly #role: 'client' | 'server';
  readonly #onRequest: OnRequest | undefined;
  readonly #hpack: HpackDecoder;
  /** The next that we open as a client. */
  nextStream = 1;

  constructor(
    host: ReceptionHost,
    role: 'client' | 'server',
    limits: { readonly headerBytes: number; readonly headerFields: number },
    onRequest: OnRequest | undefined,
  ) {
    this.#host = host;
    this.#role = role;
    this.#onRequest = onRequest;
    this.#hpack = new HpackDecoder({ bytes: limits.headerBytes, fields: limits.headerFields });
  }

  /** A frame of a stream that never was ends the connection; one of a stream that has ended comes late. */
  checkKnown(id: number): void {
    const known = (id & 1) === 1 && (this.#role === 'client' ? id < this.nextStream : id <= this.lastStream);
    if (!known) protocolError(`a frame of stream ${id}, which is not open`);
  }

  data(id: number, bytes: Buffer, size: number, end: boolean): void {
    const host = this.#host;
    const stream = host.find(id);
    if (stream === undefined) this.checkKnown(id);
    host.received(size);
    if (size === 0 && !end) host.burden();
    if (stream === undefined || stream.remoteEnded || size > stream.receiveWindow) {
      host.release(size);
      if (stream) host.refuse(stream, stream.remoteEnded ? errorCode.streamClosed : errorCode.flowControlError);
      return;
    }
    stream.received(size);
    // Padding is nobody's to deal with.
    if (size > bytes.length) stream.consumed(size - bytes.length);
    if (!stream.headReceived || !isExpected(stream, bytes.length, end)) {
      host.refuse(stream, errorCode.protocolError);
      return;
    }
    stream.remoteEnded = end;
    try {
      if (bytes.length > 0 || end) stream.reader?.data(bytes, end);
    } catch (error) {
      host.crashed(stream, error);
    }
    if (end) stream.closeWhenDone();
  }

  headerBlock(id: number, bytes: Buffer, end: boolean): void {
    const block = this.#hpack.decode(bytes);
    const stream = this.#host.find(id);
    if (stream) this.#continue(stream, block, end);
    else if (this.#role === 'server' && id > this.lastStream) this.#request(id, block, end);
    else this.checkKnown(id);
  }

  #request(id: number, { fields, overflow, malformed }: HeaderBlock, end: boolean): void {
    if ((id & 1) === 0) protocolError('a client opens streams of odd numbers');
    const host = this.#host;
    this.lastStream = id;
    if (!host.admits) {
      host.refuseUnopened(id, errorCode.refusedStream);
      return;
    }
    const head = malformed ? undefined : readRequestHead(fields);
    if (!this.#onRequest || (!head && !overflow)) {
      host.refuseUnopened(id, errorCode.protocolError);
      return;
    }
    const stream = host.admit(id);
    stream.headReceived = true;
    stream.expected = head?.contentLength ?? -1;
    if (end && stream.expected > 0) {
      host.refuse(stream, errorCode.protocolError);
      return;
    }
    stream.remoteEnded = end;
    try {
      this.#onRequest(stream, head ?? tooLarge, end, overflow);
    } catch (error) {
      host.crashed(stream, error);
    }
    if (end) stream.closeWhenDone();
  }

  #continue(stream: Http2Stream, { fields, overflow, malformed }: HeaderBlock, end: boolean): void {
    const host = this.#host;
    if (stream.remoteEnded) {
      host.refuse(stream, errorCode.streamClosed);
      return;
    }
    const isSound =
      !malformed && !overflow && (stream.headReceived ? isEnd(fields, end) : this.#isAnswer(stream, fields, end));
    if (!isSound || (end && stream.expected > 0)) {
      host.refuse(stream, errorCode.protocolError);
      return;
    }
    stream.remoteEnded = end;
    try {
      stream.reader?.headers(fields, end);
    } catch (error) {
      host.crashed(stream, error);
    }
    if (end) stream.closeWhenDone();
  }

  #isAnswer(stream: Http2Stream, fields: readonly string[], end: boolean): boolean {
    const head = this.#role === 'client' ? readResponseHead(fields) : undefined;
    if (!head) return false;
    const { status, contentLength } = head;
    if (status < 200) {
      stream.interims++;
      return !end && stream.interims <= maxInterims;
    }
    stream.headReceived = true;
    // Answers to HEAD and 304 may tell a length that does not come; none of the three has content (RFC 9110 §6.4.1).
    stream.expected = stream.bodiless || status === 304 || status === 204 ? 0 : contentLength;
    return true;
  }
}

/** Trailers are the end. */
function isEnd(fields: readonly string[], end: boolean): boolean {
  return end && areTrailers(fields);
}

function isExpected(stream: Http2Stream, bytes: number, end: boolean): boolean {
  if (stream.expected === -1) return true;
  stream.expected -= bytes;
  return end ? stream.expected === 0 : stream.expected >= 0;
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
