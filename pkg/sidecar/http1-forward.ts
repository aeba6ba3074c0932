import type { ClientRequest, IncomingMessage, ServerResponse } from 'node:http';
import type { Route, Ruling } from './call.ts';
import { toBadRequest, toTimeout, toUnavailable } from './denial.ts';
import { answerHttp1, lingerForRest } from './http1-answer.ts';
import { beginExchange } from './exchange.ts';
import type { Exchange, HttpSite } from './exchange.ts';
import {
  connectionOptions,
  decodeRequestFraming,
  isResponseFramingBad,
  linesOf,
  toForwardedResponseHeaders,
  toForwardedTrailers,
} from './headers.ts';
import type { Framing, FramingRefused } from './headers.ts';
import type { Peer } from './peer-identity.ts';

/** Methods whose repetition does no harm (RFC 9110 §9.2.2). */
const idempotent: ReadonlySet<string> = new Set(['GET', 'HEAD', 'OPTIONS', 'TRACE', 'PUT', 'DELETE']);

const maxAttempts = 3;

/** Where an HTTP/1.1 request goes when its target doesn't say (the forward proxy), or says in absolute form. */
export interface Http1Target {
  readonly target: string;
  readonly authority: string;
}

/** `http://host/path` as origin form: the authority in the target wins over Host (RFC 9112 §3.2.2). */
export function toHttp1Target(req: IncomingMessage): Http1Target | undefined {
  const url = req.url ?? '/';
  const host = linesOf(req.rawHeaders, 'host')[0] ?? '';
  if (url.startsWith('/') || url === '*') return { target: url, authority: host };
  const [, authority, path = ''] = /^http:\/\/([^/?#@]+)([/?].*)?$/i.exec(url) ?? [];
  if (authority === undefined) return undefined;
  return { target: path.startsWith('/') ? path : `/${path}`, authority };
}

/** Decides an HTTP/1.1 request and, when it may pass, streams it to its upstream and the answer back. */
export function forwardHttp1(site: HttpSite, req: IncomingMessage, res: ServerResponse, peer: Peer): void {
  const framing = decodeRequestFraming(req.rawHeaders, req.httpVersion);
  const exchange = beginHttp1(site, req, peer, framing);
  res.sendDate = false;
  if (site.draining()) res.shouldKeepAlive = false;
  const { ruling } = exchange;
  if (ruling.kind === 'answer' || framing.kind === 'refused') {
    answerHttp1(exchange, req, res, ruling.kind === 'answer' ? ruling.answer : toBadRequest('refused'));
    return;
  }
  new Http1Forwarder(exchange, ruling, framing, req, res).attempt();
}

/** The exchange of a request over HTTP/1; also for upgrades, which stream otherwise. */
export function beginHttp1(
  site: HttpSite,
  req: IncomingMessage,
  peer: Peer,
  framing: Framing | FramingRefused,
): Exchange {
  const place = toHttp1Target(req);
  const refusal =
    framing.kind === 'refused'
      ? toBadRequest(framing.why, framing.status)
      : place === undefined
        ? toBadRequest('the request target is in no form that is known here')
        : undefined;
  const head = {
    method: req.method ?? 'GET',
    target: place?.target ?? '/',
    authority: place?.authority ?? '',
    raw: req.rawHeaders,
    version: req.httpVersion === '1.0' ? ('1.0' as const) : ('1.1' as const),
  };
  return beginExchange(site, head, peer, refusal);
}

/** The head of the request for the upstream: host first, then what passes, then the framing. */
export function toUpstreamHead({ headers, facts }: Exchange, framing: Framing): string[] {
  const head = ['host', facts.authority, ...headers];
  if (framing.kind === 'chunked') head.push('transfer-encoding', 'chunked');
  else if (framing.length !== undefined) head.push('content-length', framing.length);
  // Without either, a method that usually has a body would be sent as chunked.
  else if (!['GET', 'HEAD', 'DELETE', 'OPTIONS', 'TRACE', 'CONNECT'].includes(facts.method))
    head.push('content-length', '0');
  return head;
}

class Http1Forwarder {
  readonly #exchange: Exchange;
  readonly #ruling: Extract<Ruling, { kind: 'forward' }>;
  readonly #framing: Framing;
  readonly #req: IncomingMessage;
  readonly #res: ServerResponse;
  #attempts = 0;
  #error: string | undefined;
  #current: ClientRequest | undefined;

  constructor(
    exchange: Exchange,
    ruling: Extract<Ruling, { kind: 'forward' }>,
    framing: Framing,
    req: IncomingMessage,
    res: ServerResponse,
  ) {
    this.#exchange = exchange;
    this.#ruling = ruling;
    this.#framing = framing;
    this.#req = req;
    this.#res = res;
    res.once('close', () => {
      // Gone before its answer was complete: nobody waits for the rest.
      if (!res.writableFinished) {
        this.#error ??= 'client_gone';
        this.#current?.destroy();
      }
      exchange.end(this.#error);
    });
    res.once('finish', () => {
      if (!req.complete) this.#current?.destroy();
    });
    lingerForRest(req, res);
  }

  attempt(): void {
    const exchange = this.#exchange;
    this.#attempts += 1;
    const route = this.#ruling.next();
    if (!route) {
      this.#fail('no ready endpoint', 'connect');
      return;
    }
    const { site, facts, target } = exchange;
    let request: ClientRequest;
    try {
      request = site.http1.request(route.upstream, {
        method: facts.method,
        path: target,
        headers: toUpstreamHead(exchange, this.#framing),
        idleTimeout: site.limits.streamIdle,
      });
    } catch {
      // Characters that the writer refuses: nothing was sent.
      route.done();
      answerHttp1(exchange, this.#req, this.#res, toBadRequest('the request can not be forwarded as it is'));
      return;
    }
    this.#current = request;
    this.#watch(request, route);
  }

  #watch(request: ClientRequest, route: Route): void {
    const res = this.#res;
    let connected = false;
    let answered = false;
    request.once('close', route.done);
    request.once('socket', () => {
      connected = true;
      route.succeeded();
      this.#sendBody(request);
    });
    request.once('timeout', () => {
      this.#error ??= 'timeout';
      if (res.headersSent) res.destroy();
      else this.#fail('the answer did not come in time', 'timeout');
      request.destroy();
    });
    request.on('continue', () => {
      if (!res.headersSent && this.#exchange.facts.version === '1.1') res.writeContinue();
    });
    request.on('information', (info) => {
      // 103 Early Hints is the one interim answer that means something end to end.
      if (info.statusCode !== 103 || res.headersSent) return;
      try {
        res.writeEarlyHints(info.headers as Record<string, string>);
      } catch {
        // Hints that the writer refuses are worth no failed request.
      }
    });
    request.once('response', (answer) => {
      answered = true;
      this.#answer(answer, request, route.fromApp);
    });
    request.once('error', () => {
      if (answered || res.headersSent || res.destroyed) {
        this.#error ??= 'reset';
        if (!res.writableEnded) res.destroy();
        return;
      }
      if (!connected) {
        route.failed();
        if (this.#attempts < maxAttempts) this.attempt();
        else this.#fail('could not connect', 'connect');
        return;
      }
      const again =
        request.reusedSocket && this.#framing.kind === 'none' && idempotent.has(this.#exchange.facts.method);
      // A kept-alive connection that its server closed while we wrote to it.
      if (again && this.#attempts < maxAttempts) this.attempt();
      else this.#fail('the connection ended before an answer', 'reset');
    });
  }

  #sendBody(request: ClientRequest): void {
    const req = this.#req;
    if (this.#framing.kind === 'none') {
      request.end();
      return;
    }
    request.flushHeaders();
    if (this.#framing.kind === 'chunked') {
      req.once('end', () => {
        const trailers = toForwardedTrailers(req.rawTrailers);
        if (trailers.length > 0 && !request.destroyed) request.addTrailers(toPairs(trailers));
      });
    }
    // A client that goes away mid-body must not look like one that had finished.
    req.once('aborted', () => request.destroy());
    req.pipe(request);
  }

  #answer(answer: IncomingMessage, request: ClientRequest, fromApp: boolean): void {
    const { facts } = this.#exchange;
    const res = this.#res;
    if (isResponseFramingBad(answer.rawHeaders)) {
      request.destroy();
      this.#fail('the answer is framed in two ways', 'framing');
      return;
    }
    facts.status = answer.statusCode ?? 0;
    const headers = toForwardedResponseHeaders(answer.rawHeaders, fromApp);
    if (!this.#req.complete && connectionOptions(answer.rawHeaders).has('close')) res.shouldKeepAlive = false;
    try {
      res.writeHead(facts.status, answer.statusMessage, headers);
    } catch {
      request.destroy();
      this.#fail('the answer can not be forwarded as it is', 'framing');
      return;
    }
    answer.once('end', () => {
      const trailers = toForwardedTrailers(answer.rawTrailers);
      if (trailers.length > 0) res.addTrailers(toPairs(trailers));
    });
    answer.once('close', () => {
      if (answer.complete) return;
      // The peer died mid-body: the client must see that it is not whole.
      this.#error ??= 'reset';
      res.destroy();
    });
    answer.on('error', () => undefined);
    answer.pipe(res);
    // A stream that says nothing yet (server-sent events) still shows its head.
    setImmediate(() => {
      if (!res.writableEnded && !res.destroyed) res.flushHeaders();
    });
  }

  #fail(why: string, error: string): void {
    const res = this.#res;
    this.#error ??= error;
    if (res.destroyed || res.writableEnded) return;
    if (res.headersSent) {
      res.destroy();
      return;
    }
    const answer = error === 'timeout' ? toTimeout(why) : toUnavailable(why);
    this.#ruling.call.reason ??= answer.reason;
    answerHttp1(this.#exchange, this.#req, res, answer);
  }
}

function toPairs(flat: readonly string[]): [string, string][] {
  const pairs: [string, string][] = [];
  for (let i = 0; i + 1 < flat.length; i += 2) pairs.push([flat[i] as string, flat[i + 1] as string]);
  return pairs;
}
