import type { Deadlines, Timed } from '../http1/proxy/deadlines.ts';
import { type ErrorCode, errorCode } from '../http2/error-codes.ts';
import type { Http2RequestHead } from '../http2/head.ts';
import type { Http2Stream } from '../http2/stream.ts';
import type { Route, Ruling } from './call.ts';
import { toBadRequest, toTimeout, toUnavailable } from './denial.ts';
import type { LocalAnswer } from './denial.ts';
import { beginExchange } from './exchange.ts';
import type { AskedRequest, Exchange, HttpSite } from './exchange.ts';
import {
  isAuthority,
  linesOf,
  maxHeaderCount,
  toForwardedRequestHeaders,
  toForwardedResponseHeaders,
  toForwardedTrailers,
} from './headers.ts';
import type { RawHeaders } from './headers.ts';
import { answerHttp2 } from './http2-answer.ts';
import type { Peer } from './peer-identity.ts';
import { decodeTrace, toTraceHeaders } from './trace-context.ts';

const maxAttempts = 3;

export interface Http2Request {
  readonly stream: Http2Stream;
  readonly head: Http2RequestHead;
  /** No body comes. */
  readonly end: boolean;
  /** The head is not whole: it was too large. */
  readonly overflow: boolean;
}

/** Decides one HTTP/2 stream and, when it may pass, streams it to its upstream and the answer back. */
export function forwardHttp2(site: HttpSite, request: Http2Request, peer: Peer, deadlines: Deadlines): void {
  const { stream, head, end } = request;
  const { fields, method, path } = head;
  const authority = head.authority ?? linesOf(fields, 'host')[0] ?? '';
  const header = (name: string): readonly string[] => linesOf(fields, name);
  const asked: AskedRequest = {
    method,
    target: path === '' ? '/' : path,
    authority,
    version: '2',
    header,
    trace: decodeTrace(header),
    refusal: toRefusal(request, authority),
    whenSent: (callback) => stream.afterFlush(callback),
  };
  const exchange = beginExchange(site, asked, peer);
  const { ruling } = exchange;
  if (ruling.kind === 'answer') answerHttp2(exchange, stream, ruling.answer);
  else new Http2Forwarder(exchange, ruling, stream, toHopHead(exchange, head, authority, peer), end, deadlines).start();
}

/** The head of the next hop: pseudo fields, what goes from end to end, and the trace of this hop. */
function toHopHead(
  { site, trace, target }: Exchange,
  { method, scheme, fields }: Http2RequestHead,
  authority: string,
  { forwardedCert }: Peer,
): RawHeaders {
  const head = [':method', method, ':scheme', scheme === 'https' ? 'https' : 'http', ':path', target];
  if (authority !== '') head.push(':authority', authority);
  for (const text of toForwardedRequestHeaders(fields)) head.push(text);
  for (const text of toTraceHeaders(trace)) head.push(text);
  if (site.direction === 'inbound' && forwardedCert !== undefined) head.push('x-forwarded-client-cert', forwardedCert);
  // The one hop-by-hop field that HTTP/2 has, and gRPC asks for (RFC 9113 §8.2.2).
  head.push('te', 'trailers');
  return head;
}

function toRefusal({ head, overflow }: Http2Request, authority: string): LocalAnswer | undefined {
  const { method, fields } = head;
  if (overflow || fields.length > maxHeaderCount * 2) return toBadRequest('too many headers', 431);
  if (method === 'CONNECT') return toBadRequest('CONNECT is for the forward proxy', 405);
  if (!isAuthority(authority)) return toBadRequest(':authority is not an authority');
  const hosts = linesOf(fields, 'host');
  // Two names for one target: which one a rule matched must be the one that the app sees.
  if (hosts.some((host) => host.toLowerCase() !== authority.toLowerCase()))
    return toBadRequest('Host differs from :authority');
  return undefined;
}

class Http2Forwarder implements Timed {
  deadline: number;
  readonly #exchange: Exchange;
  readonly #ruling: Extract<Ruling, { kind: 'forward' }>;
  readonly #client: Http2Stream;
  readonly #head: RawHeaders;
  readonly #deadlines: Deadlines;
  #upstream: Http2Stream | undefined;
  #route: Route | undefined;
  #attempts = 0;
  /** Of the body, what came before there was a way for it. */
  #early: Buffer[] = [];
  #requestEnded: boolean;
  /** Something of the body went out: it can't be asked again. */
  #bodySent = false;
  #answered = false;
  #error: string | undefined;

  constructor(
    exchange: Exchange,
    ruling: Extract<Ruling, { kind: 'forward' }>,
    client: Http2Stream,
    head: RawHeaders,
    bodiless: boolean,
    deadlines: Deadlines,
  ) {
    this.#exchange = exchange;
    this.#ruling = ruling;
    this.#client = client;
    this.#head = head;
    this.#requestEnded = bodiless;
    this.#deadlines = deadlines;
    this.deadline = deadlines.after(exchange.site.limits.streamIdle);
  }

  start(): void {
    this.#deadlines.add(this);
    this.#client.reader = {
      headers: (trailers) => this.#requestTrailers(trailers),
      data: (chunk, end) => this.#requestData(chunk, end),
      closed: (code) => this.#clientClosed(code),
    };
    void this.#attempt();
  }

  expire(): void {
    this.deadline = Number.POSITIVE_INFINITY;
    this.#fail('no data came in time', 'timeout');
  }

  #touch(): void {
    this.deadline = this.#deadlines.after(this.#exchange.site.limits.streamIdle);
  }

  // The request.

  async #attempt(): Promise<void> {
    this.#attempts += 1;
    const route = this.#ruling.next();
    if (!route) {
      this.#fail('no ready endpoint', 'connect');
      return;
    }
    const reader = {
      headers: (block: RawHeaders, end: boolean): void => this.#answerHeaders(block, end, route.fromApp),
      data: (chunk: Buffer, end: boolean): void => this.#answerData(chunk, end),
      closed: (code: number): void => this.#upstreamClosed(code),
    };
    const bodiless = this.#requestEnded && this.#early.length === 0;
    let upstream: Http2Stream;
    try {
      upstream = await this.#exchange.site.http2.open(route.upstream, this.#head, bodiless, reader);
    } catch {
      route.failed();
      route.done();
      if (this.#client.closed) return;
      if (this.#attempts < maxAttempts) await this.#attempt();
      else this.#fail('could not connect', 'connect');
      return;
    }
    route.succeeded();
    this.#route = route;
    this.#upstream = upstream;
    if (this.#client.closed) {
      this.#dropUpstream();
      return;
    }
    upstream.bodiless = this.#exchange.facts.method === 'HEAD';
    upstream.carries(this.#client);
    this.#client.carries(upstream);
    this.#sendEarly(upstream, bodiless);
  }

  #sendEarly(upstream: Http2Stream, bodiless: boolean): void {
    const early = this.#early;
    this.#early = [];
    for (const chunk of early) {
      this.#bodySent = true;
      upstream.sendData(chunk, false);
    }
    if (this.#requestEnded && !bodiless) upstream.sendTrailers(this.#trailers);
  }

  #trailers: RawHeaders = [];

  #requestData(chunk: Buffer, end: boolean): void {
    this.#touch();
    this.#requestEnded = end;
    if (this.#upstream === undefined) {
      this.#early.push(chunk);
      return;
    }
    this.#bodySent = true;
    this.#upstream.sendData(chunk, end);
  }

  #requestTrailers(fields: RawHeaders): void {
    this.#requestEnded = true;
    this.#trailers = toForwardedTrailers(fields);
    this.#upstream?.sendTrailers(this.#trailers);
  }

  #clientClosed(code: number): void {
    if (code !== errorCode.noError) this.#error ??= code === errorCode.cancel ? 'client_gone' : 'reset';
    this.#end();
  }

  // The answer.

  #answerHeaders(block: RawHeaders, end: boolean, fromApp: boolean): void {
    this.#touch();
    const client = this.#client;
    if (this.#answered) {
      this.#noteGrpcStatus(block);
      client.sendTrailers(toForwardedTrailers(block));
      return;
    }
    const status = block[1] as string;
    const fields = toForwardedResponseHeaders(block.slice(2), fromApp);
    if (Number(status) >= 200) {
      this.#answered = true;
      this.#exchange.facts.status = Number(status);
      this.#noteGrpcStatus(block);
    }
    client.sendHeaders([':status', status, ...fields], end);
  }

  #answerData(chunk: Buffer, end: boolean): void {
    this.#touch();
    this.#client.sendData(chunk, end);
  }

  #upstreamClosed(code: number): void {
    const upstream = this.#upstream;
    this.#route?.done();
    this.#route = undefined;
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
      this.#resetClient(code === errorCode.noError ? errorCode.internalError : (code as ErrorCode));
      return;
    }
    this.#upstream = undefined;
    if (!this.#bodySent && code === errorCode.refusedStream && this.#attempts < maxAttempts) void this.#attempt();
    else this.#fail('the connection ended before an answer', 'reset');
  }

  #abandonRequest(): void {
    this.#client.abandonsRest = true;
    if (this.#client.localEnded) this.#resetClient(errorCode.noError);
  }

  #noteGrpcStatus(block: RawHeaders): void {
    const { facts } = this.#exchange;
    if (!facts.grpc) return;
    const [status] = linesOf(block, 'grpc-status');
    if (status !== undefined) facts.grpcStatus = Number(status);
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
    answerHttp2(this.#exchange, client, answer, this.#error);
  }

  #resetClient(code: ErrorCode): void {
    this.#client.reset(code);
    this.#end();
  }

  #dropUpstream(): void {
    const upstream = this.#upstream;
    this.#upstream = undefined;
    if (upstream && !upstream.closed) upstream.reset(errorCode.cancel);
    this.#route?.done();
    this.#route = undefined;
  }

  #end(): void {
    this.#deadlines.remove(this);
    this.#dropUpstream();
    this.#exchange.end(this.#error);
  }
}
