import type { Duplex } from 'node:stream';
import { field, mask } from '../http1/field-names.ts';
import { type HeadEdits, type RequestEdits, traceFields } from '../http1/forward-head.ts';
import type { RequestHead, ResponseHead } from '../http1/head.ts';
import type { Failure, Forward, Handler, LocalReply, Stats, Switched } from '../http1/proxy/handler.ts';
import type { RefusalReason } from '../http1/refusal.ts';
import type { Direction, Route, Ruling } from './call.ts';
import { toBadRequest, toTimeout, toUnavailable } from './denial.ts';
import type { LocalAnswer } from './denial.ts';
import { beginExchange } from './exchange.ts';
import type { AskedRequest, Exchange, HttpSite } from './exchange.ts';
import type { Peer } from './peer-identity.ts';
import type { Recorder } from './recorder.ts';
import { recordAfterMillis } from './tcp-forward.ts';
import { decodeTrace, toTraceHeaders } from './trace-context.ts';
import type { Tunnels } from './tunnels.ts';

/** Said by sidecars only (DECISIONS E12). */
const reserved = mask(field.xTulle, field.xEnvoy, field.xForwardedClientCert);
const requestDrop = traceFields | reserved | mask(field.proxyAuthorization, field.proxyAuthenticate);
const noTrace = {};
const fromApp: HeadEdits = { drop: reserved };
const fromPeer: HeadEdits = {};

/** One connection of a client. */
export interface Http1Connection {
  readonly socket: Duplex;
  readonly peer: Peer;
  readonly tunnels: Tunnels;
}

/** A site as the codec asks it. */
export function toHandler(site: HttpSite, connection: Http1Connection): Handler {
  return {
    onRequest: (head) => answerHttp1(site, connection, head),
    onRefused: (reason, status) => countMalformed(site.recorder, site.direction, reason, status),
    draining: () => site.draining(),
  };
}

/** Counts and answers bytes that are no request. */
export function countMalformed(
  recorder: Recorder,
  direction: Direction,
  reason: RefusalReason | 'timeout',
  status: number,
): LocalReply {
  recorder.refused(direction, reason === 'timeout' ? 'timeout' : 'malformed');
  return toReply(
    toBadRequest(reason === 'timeout' ? 'the request did not come in time' : `refused: ${reason}`, status),
  );
}

/** Decides a request: an answer of our own, or the way on. */
export function answerHttp1(site: HttpSite, connection: Http1Connection, head: RequestHead): Forward | LocalReply {
  const { socket, peer } = connection;
  const asked: AskedRequest = {
    method: head.method,
    target: head.path,
    authority: head.authority,
    version: head.minor === 1 ? '1.1' : '1.0',
    header: (name) => head.forwardedLines(name),
    trace: (head.mask & traceFields) === 0 ? noTrace : decodeTrace((name) => head.lines(name)),
    refusal: toRefusal(head),
    whenSent(callback) {
      // Only a shutdown waits for it, and then the connection ends with the answer.
      if (!site.draining() || socket.writableLength === 0 || socket.destroyed) callback();
      else socket.once('finish', callback).once('close', callback);
    },
  };
  const exchange = beginExchange(site, asked, peer);
  const { ruling, facts } = exchange;
  if (ruling.kind === 'forward') return new Http1Forward(exchange, ruling, connection);
  facts.status = ruling.answer.status;
  exchange.end();
  return toReply(ruling.answer);
}

function toRefusal(head: RequestHead): LocalAnswer | undefined {
  if (head.method === 'CONNECT') return toBadRequest('CONNECT is for the forward proxy', 405);
  if (head.framing !== 'none' && head.has(field.upgrade) && /websocket/i.test(head.first(field.upgrade) ?? ''))
    return toBadRequest('a body beside Upgrade');
  return undefined;
}

class Http1Forward implements Forward {
  readonly kind = 'forward';
  readonly edits: RequestEdits;
  readonly #exchange: Exchange;
  readonly #ruling: Extract<Ruling, { kind: 'forward' }>;
  readonly #tunnels: Tunnels;
  #route: Route | undefined;

  constructor(exchange: Exchange, ruling: Extract<Ruling, { kind: 'forward' }>, { peer, tunnels }: Http1Connection) {
    const { site, target, trace } = exchange;
    this.#exchange = exchange;
    this.#ruling = ruling;
    this.#tunnels = tunnels;
    let add = toLines(toTraceHeaders(trace));
    if (site.direction === 'inbound' && peer.forwardedCert !== undefined)
      add += `x-forwarded-client-cert: ${peer.forwardedCert}\r\n`;
    this.edits = { path: target, drop: requestDrop, add };
  }

  next(): Route | undefined {
    this.#route = this.#ruling.next();
    return this.#route;
  }

  onResponse(response: ResponseHead): HeadEdits {
    const { facts } = this.#exchange;
    if (!response.interim) facts.status = response.status;
    if (facts.grpc) {
      const [status] = response.lines('grpc-status');
      if (status !== undefined) facts.grpcStatus = Number(status);
    }
    return this.#route?.fromApp === true ? fromApp : fromPeer;
  }

  onFailure(failure: Failure): LocalReply {
    const answer = toFailure(failure);
    this.#ruling.call.reason ??= answer.reason;
    return toReply(answer);
  }

  onSwitch({ client, upstream, fromClient, fromUpstream, end }: Switched): void {
    const exchange = this.#exchange;
    const { stillAllowed } = this.#ruling;
    const early = setTimeout(() => exchange.end(), recordAfterMillis);
    this.#tunnels.join({
      client,
      server: upstream,
      fromClient,
      fromServer: fromUpstream,
      idleTimeout: exchange.site.limits.tcpIdle,
      stillAllowed,
      onEnd(error) {
        clearTimeout(early);
        exchange.end(error);
        end();
      },
    });
    // The grant may have gone while the app made up its mind.
    if (!stillAllowed()) this.#tunnels.recheck();
  }

  onEnd({ status, error }: Stats): void {
    this.#exchange.facts.status = status;
    this.#exchange.end(error === undefined ? undefined : toErrorWord(error));
  }
}

function toFailure(failure: Failure): LocalAnswer {
  switch (failure) {
    case 'timeout':
      return toTimeout('the answer did not come in time');
    case 'noRoute':
      return toUnavailable('no ready endpoint');
    case 'connect':
      return toUnavailable('could not connect');
    case 'overload':
      return toUnavailable('too many connections to the endpoint');
    case 'reset':
      return toUnavailable('the connection ended before an answer');
    case 'badResponse':
      return toUnavailable('the answer can not be forwarded as it is');
  }
}

/** The words of `error.type`, the same for all versions of HTTP. */
function toErrorWord(error: NonNullable<Stats['error']>): string {
  switch (error) {
    case 'clientGone':
      return 'client_gone';
    case 'noRoute':
    case 'connect':
    case 'overload':
      return 'connect';
    case 'timeout':
    case 'reset':
      return error;
    default:
      return 'framing';
  }
}

export function toReply({ status, reason, body, headers = [] }: LocalAnswer): LocalReply {
  const lines = `content-type: text/plain; charset=utf-8\r\nx-tulle-reason: ${reason}\r\n${toLines(headers)}`;
  // What is behind a request that can't be read is nobody's to guess.
  return { kind: 'reply', status, lines, body, close: reason === 'BadRequest' };
}

function toLines(flat: readonly string[]): string {
  let lines = '';
  for (let i = 0; i + 1 < flat.length; i += 2) lines += `${flat[i]}: ${flat[i + 1]}\r\n`;
  return lines;
}
