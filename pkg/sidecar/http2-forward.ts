import { type ErrorCode, errorCode } from '../http2/error-codes.ts';
import { BodyQueue } from '../http2/body-queue.ts';
import type { Http2Connection } from '../http2/connection.ts';
import type { Http2RequestHead } from '../http2/head.ts';
import type { Http2Stream, StreamReader } from '../http2/stream.ts';
import type { Route, Ruling } from './call.ts';
import { toTimeout, toUnavailable } from './denial.ts';
import { beginExchange } from './exchange.ts';
import type { AskedRequest, Exchange, HttpSite } from './exchange.ts';
import { toForwardedTrailers } from './headers.ts';
import type { RawHeaders } from './headers.ts';
import { answerHttp2 } from './http2-answer.ts';
import { linesOfField, linesOfRequest, toHeadRefusal, toHopAnswer, toHopHead } from './http2-head.ts';
import type { Peer } from './peer-identity.ts';
import type { RequestDeadlines, TimedRequest } from './request-deadlines.ts';
import { decodeTrace } from './trace-context.ts';

const maxAttempts = 3;
/** So much of a body is kept to be sent again, in so many pieces: a unary call of gRPC, mostly. */
const mostKept = 4096;
const mostPieces = 4;

/** How long a request may wait for a stream to its upstream, all attempts together, in milliseconds. */
export const longestWait = 10_000;

export interface Http2Request {
  readonly stream: Http2Stream;
  readonly head: Http2RequestHead;
  /** No body comes. */
  readonly end: boolean;
  /** The head is not whole: it was too large. */
  readonly overflow: boolean;
}

/** Decides one HTTP/2 stream and, when it may pass, streams it to its upstream and the answer back. */
export function forwardHttp2(site: HttpSite, request: Http2Request, peer: Peer, deadlines: RequestDeadlines): void {
  const { stream, head, end, overflow } = request;
  const { fields, method, path } = head;
  const authority = head.authority ?? linesOfField(fields, 'host')[0] ?? '';
  const header = (name: string): readonly string[] => linesOfRequest(fields, name);
  const asked: AskedRequest = {
    method,
    target: path === '' ? '/' : path,
    authority,
    version: '2',
    header,
    trace: decodeTrace(header),
    refusal: toHeadRefusal(head, authority, overflow),
    whenSent: (callback) => stream.afterFlush(callback),
  };
  const exchange = beginExchange(site, asked, peer);
  const { ruling } = exchange;
  if (ruling.kind === 'answer') answerHttp2(exchange, stream, ruling.answer, deadlines);
  else new Http2Forwarder(exchange, ruling, stream, toHopHead(exchange, head, authority, peer), end, deadlines).start();
}

/** One request on its way; it reads the client's stream itself. */
class Http2Forwarder implements TimedRequest, StreamReader {
  deadline: number;
  slot = -1;
  readonly #exchange: Exchange;
  readonly #ruling: Extract<Ruling, { kind: 'forward' }>;
  readonly #client: Http2Stream;
  readonly #head: RawHeaders;
  readonly #deadlines: RequestDeadlines;
  #upstream: Http2Stream | undefined;
  #route: Route | undefined;
  #attempts = 0;
  /** What was left of the wait for a stream when there was one. */
  #waitLeft = 0;
  /** Of the body, what came before there was a way for it. */
  #early: BodyQueue | undefined;
  #requestEnded: boolean;
  /** Of the body, what went out, as long as it is little: a request that was not looked at is asked again with it. */
  #kept: Buffer[] = [];
  #keptBytes = 0;
  /** It can be asked again whole. */
  #repeatable = true;
  #answered = false;
  #error: string | undefined;

  constructor(
    exchange: Exchange,
    ruling: Extract<Ruling, { kind: 'forward' }>,
    client: Http2Stream,
    head: RawHeaders,
    bodiless: boolean,
    deadlines: RequestDeadlines,
  ) {
    this.#exchange = exchange;
    this.#ruling = ruling;
    this.#client = client;
    this.#head = head;
    this.#requestEnded = bodiless;
    this.#deadlines = deadlines;
    this.deadline = deadlines.after(Math.min(longestWait, exchange.site.limits.streamIdle));
  }

  start(): void {
    this.#deadlines.add(this);
    this.#client.reader = this;
    this.#attempt();
  }

  expire(): void {
    this.deadline = Number.POSITIVE_INFINITY;
    if (this.#upstream === undefined) this.#fail('no stream to the upstream became free in time', 'connect');
    else this.#fail('no data came in time', 'timeout');
  }

  /** Until it has a stream to its upstream, nothing prolongs the wait for it. */
  #touch(): void {
    if (this.#upstream !== undefined) this.deadline = this.#deadlines.after(this.#exchange.site.limits.streamIdle);
  }

  // The request.

  #attempt(): void {
    this.#attempts += 1;
    const route = this.#ruling.next();
    if (!route) {
      this.#fail('no ready endpoint', 'connect');
      return;
    }
    this.#route = route;
    const pool = this.#exchange.site.http2;
    const connection = pool.find(route.upstream);
    if (connection !== undefined) {
      this.#begin(connection, route);
      return;
    }
    const isWanted = (): boolean => this.#route === route;
    pool.acquire(route.upstream, {
      get wanted() {
        return isWanted();
      },
      ready: (connection) => this.#begin(connection, route),
      failed: () => this.#notConnected(route),
    });
  }

  #notConnected(route: Route): void {
    route.failed();
    this.#leaveRoute();
    if (this.#attempts < maxAttempts) this.#attempt();
    else this.#fail('could not connect', 'connect');
  }

  #begin(connection: Http2Connection, route: Route): void {
    route.succeeded();
    this.#waitLeft = this.deadline - this.#deadlines.after(0);
    const { method } = this.#exchange.facts;
    const hasBody = this.#early !== undefined || this.#keptBytes > 0 || this.#trailers.length > 0;
    const bodiless = this.#requestEnded && !hasBody;
    const reader = new AnswerReader(this, route.fromApp);
    const upstream = connection.request(this.#head, bodiless, reader, method === 'HEAD');
    this.#upstream = upstream;
    this.#touch();
    upstream.carries(this.#client);
    this.#client.carries(upstream);
    if (!bodiless) this.#sendEarly(upstream);
  }

  #sendEarly(upstream: Http2Stream): void {
    for (const chunk of this.#kept) upstream.sendData(chunk, false);
    const early = this.#early;
    this.#early = undefined;
    while (early !== undefined && early.bytes > 0) {
      const chunk = early.take(early.bytes);
      this.#keep(chunk);
      upstream.sendData(chunk, false);
    }
    if (this.#requestEnded) upstream.sendTrailers(this.#trailers);
  }

  #keep(chunk: Buffer): void {
    if (!this.#repeatable || chunk.length === 0) return;
    this.#keptBytes += chunk.length;
    if (this.#keptBytes > mostKept || this.#kept.length === mostPieces) this.#forgetKept();
    // A copy: what it is a part of may be much larger.
    else this.#kept.push(Buffer.from(chunk));
  }

  #forgetKept(): void {
    this.#repeatable = false;
    this.#kept = [];
  }

  #trailers: RawHeaders = [];

  data(chunk: Buffer, end: boolean): void {
    this.#touch();
    this.#requestEnded = end;
    if (this.#upstream === undefined) {
      if (chunk.length > 0) (this.#early ??= new BodyQueue()).push(chunk);
      return;
    }
    this.#keep(chunk);
    this.#upstream.sendData(chunk, end);
  }

  headers(fields: RawHeaders): void {
    this.#requestEnded = true;
    this.#trailers = toForwardedTrailers(fields);
    this.#upstream?.sendTrailers(this.#trailers);
  }

  closed(code: number): void {
    if (code !== errorCode.noError) this.#error ??= code === errorCode.cancel ? 'client_gone' : 'reset';
    this.#end();
  }

  // The answer.

  answerHeaders(block: RawHeaders, end: boolean, fromApp: boolean): void {
    this.#touch();
    this.#forgetKept();
    const client = this.#client;
    if (this.#answered) {
      this.#noteGrpcStatus(block);
      client.sendTrailers(toForwardedTrailers(block));
      return;
    }
    const status = Number(block[1]);
    if (status >= 200) {
      this.#answered = true;
      this.#exchange.facts.status = status;
      this.#noteGrpcStatus(block);
    }
    client.sendHeaders(toHopAnswer(block, fromApp), end);
  }

  answerData(chunk: Buffer, end: boolean): void {
    this.#touch();
    this.#client.sendData(chunk, end);
  }

  upstreamClosed(code: number): void {
    const upstream = this.#upstream;
    this.#leaveRoute();
    const client = this.#client;
    if (client.closed) return;
    if (this.#answered) {
      if (code === errorCode.noError && upstream?.remoteEnded === true) {
        // Answered before the end of its request: the rest is of no use (RFC 9113 §8.1).
        if (!client.remoteEnded) this.#abandonRequest();
        return;
      }
      // The answer is not whole: the client must see that.
      this.#error ??= 'reset';
      this.#resetClient(toClientCode(code));
      return;
    }
    this.#upstream = undefined;
    if (this.#repeatable && code === errorCode.refusedStream && this.#attempts < maxAttempts) {
      this.deadline = this.#deadlines.after(this.#waitLeft);
      this.#attempt();
    } else this.#fail('the connection ended before an answer', 'reset');
  }

  #abandonRequest(): void {
    this.#client.abandonsRest = true;
    if (this.#client.localEnded) this.#resetClient(errorCode.noError);
  }

  #noteGrpcStatus(block: RawHeaders): void {
    const { facts } = this.#exchange;
    if (!facts.grpc) return;
    const [status] = linesOfField(block, 'grpc-status');
    if (status !== undefined && /^\d{1,9}$/.test(status)) facts.grpcStatus = Number(status);
  }

  // The end.

  #fail(why: string, error: string): void {
    this.#error ??= error;
    this.#dropUpstream();
    const client = this.#client;
    if (client.closed) return;
    if (this.#answered) {
      this.#resetClient(errorCode.internalError);
      return;
    }
    this.#deadlines.remove(this);
    const answer = error === 'timeout' ? toTimeout(why) : toUnavailable(why);
    this.#ruling.call.reason ??= answer.reason;
    this.#early = undefined;
    answerHttp2(this.#exchange, client, answer, this.#deadlines, this.#error);
  }

  #resetClient(code: ErrorCode): void {
    this.#client.reset(code);
    this.#end();
  }

  #dropUpstream(): void {
    const upstream = this.#upstream;
    this.#upstream = undefined;
    if (upstream && !upstream.closed) upstream.reset(errorCode.cancel);
    this.#leaveRoute();
  }

  #leaveRoute(): void {
    this.#route?.done();
    this.#route = undefined;
  }

  #end(): void {
    this.#deadlines.remove(this);
    this.#dropUpstream();
    this.#exchange.end(this.#error);
  }
}

/** Reads the stream of the upstream. */
class AnswerReader implements StreamReader {
  readonly #forwarder: Http2Forwarder;
  readonly #fromApp: boolean;

  constructor(forwarder: Http2Forwarder, fromApp: boolean) {
    this.#forwarder = forwarder;
    this.#fromApp = fromApp;
  }

  headers(block: RawHeaders, end: boolean): void {
    this.#forwarder.answerHeaders(block, end, this.#fromApp);
  }

  data(chunk: Buffer, end: boolean): void {
    this.#forwarder.answerData(chunk, end);
  }

  closed(code: number): void {
    this.#forwarder.upstreamClosed(code);
  }
}

/** Of an answer that was begun: nothing may say that the request was not looked at. */
function toClientCode(code: number): ErrorCode {
  return code === errorCode.noError || code === errorCode.refusedStream ? errorCode.internalError : (code as ErrorCode);
}
