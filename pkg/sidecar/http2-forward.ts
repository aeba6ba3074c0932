import { constants } from 'node:http2';
import type { ClientHttp2Stream, IncomingHttpHeaders, OutgoingHttpHeaders, ServerHttp2Stream } from 'node:http2';
import type { Ruling } from './call.ts';
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

const { NGHTTP2_CANCEL, NGHTTP2_INTERNAL_ERROR, NGHTTP2_NO_ERROR, NGHTTP2_REFUSED_STREAM } = constants;
const endStreamFlag = constants.NGHTTP2_FLAG_END_STREAM;

const maxAttempts = 3;

/** Decides one HTTP/2 stream and, when it may pass, streams it to its upstream and the answer back. */
export function forwardHttp2(
  site: HttpSite,
  stream: ServerHttp2Stream,
  raw: RawHeaders,
  flags: number,
  peer: Peer,
): void {
  const { fields, pseudo } = splitPseudo(raw);
  const method = pseudo.get(':method') ?? 'GET';
  const authority = pseudo.get(':authority') ?? linesOf(fields, 'host')[0] ?? '';
  const header = (name: string): readonly string[] => linesOf(fields, name);
  const asked: AskedRequest = {
    method,
    target: pseudo.get(':path') ?? '/',
    authority,
    version: '2',
    header,
    trace: decodeTrace(header),
    refusal: toRefusal(method, authority, fields),
  };
  // An abort is an event here, and the stream's other side is told of it.
  stream.on('error', () => undefined);
  const exchange = beginExchange(site, asked, peer);
  const { ruling } = exchange;
  if (ruling.kind === 'answer') {
    answerHttp2(exchange, stream, ruling.answer);
    return;
  }
  const headers = toHopHeaders(exchange, fields, peer);
  const scheme = pseudo.get(':scheme') ?? 'http';
  new Http2Forwarder(exchange, ruling, stream, headers, (flags & endStreamFlag) !== 0, scheme).start();
}

/** End-to-end headers with the trace of this hop, flat. */
function toHopHeaders({ site, trace }: Exchange, fields: RawHeaders, { forwardedCert }: Peer): RawHeaders {
  const headers = toForwardedRequestHeaders(fields);
  headers.push(...toTraceHeaders(trace));
  if (site.direction === 'inbound' && forwardedCert !== undefined)
    headers.push('x-forwarded-client-cert', forwardedCert);
  return headers;
}

function toRefusal(method: string, authority: string, fields: RawHeaders): LocalAnswer | undefined {
  if (method === 'CONNECT') return toBadRequest('CONNECT is for the forward proxy', 405);
  if (!isAuthority(authority)) return toBadRequest(':authority is not an authority');
  if (fields.length > maxHeaderCount * 2) return toBadRequest('too many headers', 431);
  const hosts = linesOf(fields, 'host');
  // Two names for one target: which one a rule matched must be the one that the app sees.
  if (hosts.some((host) => host.toLowerCase() !== authority.toLowerCase()))
    return toBadRequest('Host differs from :authority');
  return undefined;
}

class Http2Forwarder {
  readonly #exchange: Exchange;
  readonly #ruling: Extract<Ruling, { kind: 'forward' }>;
  readonly #client: ServerHttp2Stream;
  readonly #headers: RawHeaders;
  readonly #bodyless: boolean;
  readonly #scheme: string;
  #upstream: ClientHttp2Stream | undefined;
  #attempts = 0;
  /** Not the streams' own: those outlive a stream that ends in an error (see http2-idle.ts). */
  #timer: NodeJS.Timeout | undefined;
  #error: string | undefined;

  constructor(
    exchange: Exchange,
    ruling: Extract<Ruling, { kind: 'forward' }>,
    client: ServerHttp2Stream,
    headers: RawHeaders,
    bodyless: boolean,
    scheme: string,
  ) {
    this.#exchange = exchange;
    this.#ruling = ruling;
    this.#client = client;
    this.#headers = headers;
    this.#bodyless = bodyless;
    this.#scheme = scheme;
  }

  start(): void {
    const client = this.#client;
    const silence = (): void => this.#fail('no data came in time', 'timeout');
    this.#timer = setTimeout(silence, this.#exchange.site.limits.streamIdle);
    client.once('close', () => {
      clearTimeout(this.#timer);
      const reset = client.rstCode !== NGHTTP2_NO_ERROR;
      if (reset) this.#error ??= client.rstCode === NGHTTP2_CANCEL ? 'client_gone' : 'reset';
      const upstream = this.#upstream;
      if (upstream && !upstream.closed && (reset || !upstream.writableEnded)) upstream.close(NGHTTP2_CANCEL);
      this.#exchange.end(this.#error);
    });
    void this.#attempt();
  }

  async #attempt(): Promise<void> {
    const { site } = this.#exchange;
    this.#attempts += 1;
    const route = this.#ruling.next();
    if (!route) {
      this.#fail('no ready endpoint', 'connect');
      return;
    }
    let upstream: ClientHttp2Stream;
    try {
      upstream = await site.http2.open(route.upstream, this.#toHeaders(), this.#bodyless);
    } catch {
      route.failed();
      route.done();
      if (this.#client.destroyed) return;
      if (this.#attempts < maxAttempts) await this.#attempt();
      else this.#fail('could not connect', 'connect');
      return;
    }
    route.succeeded();
    upstream.once('close', route.done);
    if (this.#client.destroyed) {
      upstream.on('error', () => undefined);
      upstream.close(NGHTTP2_CANCEL);
      return;
    }
    this.#upstream = upstream;
    this.#watch(upstream, route.fromApp);
  }

  #toHeaders(): OutgoingHttpHeaders {
    const { facts, target } = this.#exchange;
    const all: OutgoingHttpHeaders = {
      ':method': facts.method,
      ':scheme': this.#scheme === 'https' ? 'https' : 'http',
      ':path': target,
      ...(facts.authority === '' ? {} : { ':authority': facts.authority }),
    };
    addFields(all, this.#headers);
    // The one hop-by-hop field that HTTP/2 has, and gRPC asks for (RFC 9113 §8.2.2).
    all['te'] = 'trailers';
    return all;
  }

  #watch(upstream: ClientHttp2Stream, fromApp: boolean): void {
    const client = this.#client;
    let answered = false;
    let trailers: string[] = [];
    upstream.on('headers', (headers: IncomingHttpHeaders) => {
      if (client.headersSent || client.destroyed) return;
      try {
        client.additionalHeaders(addFields({}, toFlat(headers)));
      } catch {
        // Hints that the writer refuses are worth no failed request.
      }
    });
    upstream.once('response', (headers, flags, raw?: string[]) => {
      answered = true;
      this.#timer?.refresh();
      const head = splitPseudo(raw ?? toFlat(headers));
      const fields = toForwardedResponseHeaders(head.fields, fromApp);
      this.#exchange.facts.status = Number(head.pseudo.get(':status') ?? 0);
      this.#noteGrpcStatus(headers);
      try {
        this.#answer(upstream, fields, (flags & endStreamFlag) !== 0, () => trailers);
      } catch {
        this.#fail('the answer can not be forwarded as it is', 'framing');
      }
    });
    upstream.once('trailers', (headers: IncomingHttpHeaders, _flags: number, raw?: string[]) => {
      trailers = toForwardedTrailers(raw ?? toFlat(headers));
      this.#noteGrpcStatus(headers);
    });
    upstream.on('error', () => undefined);
    upstream.once('close', () => {
      if (answered) {
        if (upstream.rstCode === NGHTTP2_NO_ERROR && upstream.readableEnded) {
          // Answered before the end of its request: the rest is of no use (RFC 9113 §8.1).
          if (!client.readableEnded && !client.closed) client.close(NGHTTP2_NO_ERROR);
          return;
        }
        // The answer is not whole: the client must see that.
        this.#error ??= 'reset';
        if (!client.closed)
          client.close(upstream.rstCode === NGHTTP2_NO_ERROR ? NGHTTP2_INTERNAL_ERROR : upstream.rstCode);
        return;
      }
      if (client.destroyed || client.closed) return;
      const unread = this.#bodyless || client.readableFlowing === null;
      const refused = upstream.rstCode === NGHTTP2_REFUSED_STREAM;
      if (unread && refused && this.#attempts < maxAttempts) void this.#attempt();
      else this.#fail('the connection ended before an answer', 'reset');
    });
    if (!this.#bodyless) this.#sendBody(upstream);
  }

  #sendBody(upstream: ClientHttp2Stream): void {
    const client = this.#client;
    let trailers: string[] = [];
    client.once('trailers', (headers: IncomingHttpHeaders, _flags: number, raw?: string[]) => {
      trailers = toForwardedTrailers(raw ?? toFlat(headers));
    });
    upstream.once('wantTrailers', () => upstream.sendTrailers(addFields({}, trailers)));
    client.once('aborted', () => upstream.close(NGHTTP2_CANCEL));
    client.on('data', () => this.#timer?.refresh());
    client.pipe(upstream);
  }

  #answer(upstream: ClientHttp2Stream, fields: RawHeaders, endStream: boolean, trailers: () => string[]): void {
    const client = this.#client;
    if (client.destroyed) return;
    const answer = addFields({ ':status': this.#exchange.facts.status }, fields);
    if (endStream) {
      client.respond(answer, { endStream: true });
      upstream.resume();
      return;
    }
    client.respond(answer, { waitForTrailers: true });
    client.once('wantTrailers', () => client.sendTrailers(addFields({}, trailers())));
    upstream.on('data', () => this.#timer?.refresh());
    upstream.pipe(client);
  }

  #noteGrpcStatus(headers: IncomingHttpHeaders): void {
    const status = headers['grpc-status'];
    if (typeof status === 'string' && this.#exchange.facts.grpc) this.#exchange.facts.grpcStatus = Number(status);
  }

  #fail(why: string, error: string): void {
    this.#error ??= error;
    this.#upstream?.close(NGHTTP2_CANCEL);
    const client = this.#client;
    if (client.destroyed || client.closed) return;
    if (client.headersSent) {
      client.close(NGHTTP2_INTERNAL_ERROR);
      return;
    }
    const answer = error === 'timeout' ? toTimeout(why) : toUnavailable(why);
    this.#ruling.call.reason ??= answer.reason;
    answerHttp2(this.#exchange, client, answer);
  }
}

function splitPseudo(raw: RawHeaders): {
  fields: string[];
  pseudo: Map<string, string>;
} {
  const fields: string[] = [];
  const pseudo = new Map<string, string>();
  for (let i = 0; i + 1 < raw.length; i += 2) {
    const name = raw[i] as string;
    const value = raw[i + 1] as string;
    if (name.startsWith(':')) pseudo.set(name, value);
    else fields.push(name, value);
  }
  return { fields, pseudo };
}

/** Adds a flat list of fields; a name that comes twice becomes a list, sent as separate lines. */
function addFields(headers: OutgoingHttpHeaders, flat: RawHeaders): OutgoingHttpHeaders {
  for (let i = 0; i + 1 < flat.length; i += 2) {
    const name = (flat[i] as string).toLowerCase();
    const value = flat[i + 1] as string;
    const before = headers[name];
    if (before === undefined) headers[name] = value;
    else headers[name] = Array.isArray(before) ? [...before, value] : [String(before), value];
  }
  return headers;
}

function toFlat(headers: IncomingHttpHeaders): string[] {
  const flat: string[] = [];
  for (const [name, value] of Object.entries(headers)) {
    for (const line of Array.isArray(value) ? value : [String(value)]) flat.push(name, line);
  }
  return flat;
}
