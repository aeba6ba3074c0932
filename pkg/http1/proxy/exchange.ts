import type { Duplex } from 'node:stream';
import { field } from '../field-names.ts';
import { toForwardedRequest } from '../forward-head.ts';
import type { RequestHead, ResponseHead } from '../head.ts';
import { event } from '../message-parser.ts';
import { AnswerWriter } from './answer-writer.ts';
import type { Deadlines } from './deadlines.ts';
import type { Failure, Forward, LocalReply, Route, Stats, Timeouts } from './handler.ts';
import { UpstreamConnection } from './upstream-connection.ts';
import type { UpstreamUser } from './upstream-connection.ts';
import { PoolOverload } from './upstream-pool.ts';
import type { UpstreamPool } from './upstream-pool.ts';
import { writeBoth } from './wire.ts';

/** The client's side of an exchange. */
export interface ExchangeClient {
  readonly socket: Duplex;
  /** The upstream takes the request's body now, or again. */
  onRequestWanted(): void;
  /** The answer is complete; `close`: it was the last one. */
  onAnswered(close: boolean): void;
  /** There is no answer of the upstream's, and nothing of one was sent. */
  onFailed(reply: LocalReply): void;
  /** The answer broke off: the client must see that it isn't whole. `unframed`: it can't tell by the bytes. */
  onBroken(unframed: boolean): void;
  /** Gives its socket up, with what was read behind the request. */
  detach(): Buffer;
  /** Answers must be the last ones. */
  draining(): boolean;
}

export interface ExchangeTools {
  readonly pool: UpstreamPool;
  readonly deadlines: Deadlines;
  readonly timeouts: Timeouts;
}

/** Methods whose repetition does no harm (RFC 9110 §9.2.2). */
const idempotent: ReadonlySet<string> = new Set(['GET', 'HEAD', 'OPTIONS', 'TRACE', 'PUT', 'DELETE']);

const MAX_ATTEMPTS = 3;
const MAX_INTERIM = 32;

/** One forwarded request: finds its upstream, streams its body there and the answer back. */
export class Exchange implements UpstreamUser {
  /** The upstream takes body bytes now. */
  ready = false;

  readonly #client: ExchangeClient;
  readonly #head: RequestHead;
  readonly #forward: Forward;
  readonly #tools: ExchangeTools;
  readonly #upgrade: string;
  readonly #answer: AnswerWriter;
  #route: Route | undefined;
  #connection: UpstreamConnection | undefined;
  /** Waits for the bytes behind it, to be one write with them. */
  #requestText = '';
  #requestDone = false;
  #bodySent = false;
  #response: ResponseHead | undefined;
  #clientBlocked = false;
  #upstreamEnded: boolean | undefined;
  #ended = false;
  #attempts = 0;
  #interim = 0;
  #failedStatus = 0;
  #requestBytes = 0;

  constructor(client: ExchangeClient, head: RequestHead, forward: Forward, tools: ExchangeTools) {
    this.#client = client;
    this.#head = head;
    this.#forward = forward;
    this.#tools = tools;
    this.#answer = new AnswerWriter(client.socket, head);
    // Of the protocols that HTTP/1.1 can be left for, HTTP/2 would take its requests past the policy.
    this.#upgrade = head.upgrade === 'websocket' ? head.upgrade : '';
  }

  /** It waits for an answer that may end HTTP on this connection. */
  get maySwitch(): boolean {
    return this.#upgrade !== '' || this.#head.method === 'CONNECT';
  }

  /** Begins, or begins again with the next way there is. */
  attempt(): void {
    if (this.#ended) return;
    const route = this.#forward.next();
    if (route === undefined) {
      this.#fail('noRoute');
      return;
    }
    this.#attempts++;
    this.#route = route;
    const idle = this.#tools.pool.take(route.upstream.key);
    if (idle !== undefined) {
      this.#start(idle);
      return;
    }
    this.#tools.pool.open(route.upstream).then(
      (connection) => {
        if (this.#ended) this.#tools.pool.keep(connection, Infinity);
        else this.#start(connection);
      },
      (error: unknown) => this.#onConnectFailed(error),
    );
  }

  /** Bytes of the request's body. False: no more, until `onRequestWanted`. */
  sendBody(bytes: Buffer): boolean {
    const connection = this.#connection;
    if (connection === undefined) return false;
    this.#bodySent = true;
    this.#requestBytes += bytes.length;
    this.#touch(connection);
    const text = this.#requestText;
    this.#requestText = '';
    this.ready = writeBoth(connection.socket, text, bytes);
    return this.ready;
  }

  /** The client has no more to give for now: what waits for more goes. */
  flushRequest(): void {
    if (this.#requestText === '' || this.#connection === undefined) return;
    const text = this.#requestText;
    this.#requestText = '';
    this.#connection.socket.write(text, 'latin1');
  }

  requestEnded(): void {
    this.#requestDone = true;
    this.flushRequest();
  }

  /** The client's socket takes writes again. */
  onClientDrain(): void {
    if (!this.#clientBlocked) return;
    this.#clientBlocked = false;
    this.#pump();
    if (!this.#clientBlocked) this.#connection?.release();
  }

  /** Something of the answer has gone to the client. */
  get answered(): boolean {
    return this.#answer.sent;
  }

  /** Nobody waits for the answer any more; `status`: of what the client is told instead. */
  abort(error: Stats['error'] = 'clientGone', status = 0): void {
    if (this.#ended) return;
    this.#failedStatus = status;
    this.#connection?.destroy();
    this.#end(error);
  }

  onUpstreamBytes(): void {
    this.#touch(this.#connection!);
    if (this.#clientBlocked) this.#connection!.hold();
    else this.#pump();
  }

  onUpstreamDrain(): void {
    if (this.ready || this.#requestDone) return;
    this.ready = true;
    this.#client.onRequestWanted();
  }

  onUpstreamEnd(clean: boolean): void {
    this.#upstreamEnded ??= clean;
    // What was read before waits for the client.
    if (!this.#clientBlocked) this.#finishUpstream();
  }

  onUpstreamTimeout(): void {
    this.#break('timeout');
  }

  #touch(connection: UpstreamConnection): void {
    connection.deadline = this.#tools.deadlines.after(this.#tools.timeouts.stream);
  }

  #start(connection: UpstreamConnection): void {
    this.#connection = connection;
    this.#route!.succeeded();
    connection.use(this);
    connection.parser.expect({
      method: this.#head.method,
      upgrade: this.#upgrade !== '',
    });
    connection.parser.chunkedOutput = this.#head.minor === 0 ? 'data' : 'wire';
    this.#touch(connection);
    this.#requestText = toForwardedRequest(this.#head, this.#forward.edits, this.#upgrade);
    this.ready = true;
    if (this.#head.framing === 'none' || this.#requestDone) this.flushRequest();
    else this.#client.onRequestWanted();
  }

  #onConnectFailed(error: unknown): void {
    const route = this.#route;
    this.#route = undefined;
    const overload = error instanceof PoolOverload;
    if (!overload) route?.failed();
    route?.done();
    if (this.#ended) return;
    if (!overload && this.#attempts < MAX_ATTEMPTS) this.attempt();
    else this.#fail(overload ? 'overload' : 'connect');
  }

  /** Hands on what the upstream's parser has. */
  #pump(): void {
    const connection = this.#connection;
    while (connection !== undefined && !this.#ended && !this.#clientBlocked) {
      const { parser } = connection;
      switch (parser.next()) {
        case event.more:
          this.#answer.flush();
          if (this.#upstreamEnded !== undefined) this.#finishUpstream();
          return;
        case event.head:
          this.#onHead(parser.head!);
          break;
        case event.body:
          this.#onBody(parser.body);
          break;
        case event.end:
          this.#onAnswerEnd(connection);
          break;
        case event.paused:
          this.#switch(connection);
          return;
        default:
          this.#break('badResponse');
          return;
      }
    }
  }

  #onHead(head: ResponseHead): void {
    if (head.interim) {
      this.#onInterim(head);
      return;
    }
    this.#response = head;
    // An upstream that closes before it has read the whole request won't read on, and neither does the client's side.
    const early = !this.#requestDone && !head.keepAlive;
    this.#answer.head(head, this.#forward.onResponse(head), early || this.#client.draining());
  }

  #onInterim(head: ResponseHead): void {
    if (++this.#interim > MAX_INTERIM) {
      this.#break('badResponse');
      return;
    }
    // HTTP/1.0 knows none; 100 is for those who asked for it.
    if (this.#head.minor === 0 || (head.status === 100 && !this.#head.expectsContinue)) return;
    this.#answer.interim(head, this.#forward.onResponse(head));
  }

  #onBody(bytes: Buffer): void {
    if (this.#answer.body(bytes)) return;
    this.#clientBlocked = true;
    this.#connection!.hold();
  }

  #onAnswerEnd(connection: UpstreamConnection): void {
    const head = this.#response!;
    // What comes behind it is another protocol's: `paused` follows.
    if (head.switches) return;
    this.#answer.end();
    this.#clientBlocked = false;
    connection.release();
    const millis = head.has(field.keepAlive) ? UpstreamConnection.keepAliveMillis(head) : Infinity;
    if (connection.leave(head) && this.#requestDone) this.#tools.pool.keep(connection, millis);
    else connection.destroy();
    this.#connection = undefined;
    this.#end();
    this.#client.onAnswered(this.#answer.close);
  }

  #switch(connection: UpstreamConnection): void {
    this.#answer.flush();
    const { socket } = this.#client;
    const fromClient = this.#client.detach();
    const fromUpstream = connection.parser.takeRest();
    const upstream = connection.detach();
    this.#connection = undefined;
    this.#forward.onSwitch({ client: socket, upstream, fromClient, fromUpstream, end: () => this.#end() });
  }

  /** The upstream sends no more, and all that it sent has been handed on. */
  #finishUpstream(): void {
    const connection = this.#connection;
    if (connection === undefined || this.#ended) return;
    const clean = this.#upstreamEnded === true;
    this.#upstreamEnded = undefined;
    if (clean && connection.parser.finish() === event.end) {
      this.#onAnswerEnd(connection);
      return;
    }
    const untouched = !connection.answering && !this.#bodySent;
    const harmless = this.#head.framing === 'none' && idempotent.has(this.#head.method);
    // What waits for the first bytes of its body hasn't been sent at all.
    const again = untouched && connection.reused && (harmless || this.#requestText !== '');
    if (!again || this.#attempts >= MAX_ATTEMPTS) {
      this.#break('reset');
      return;
    }
    // A kept-alive connection that its server closed while we wrote to it.
    connection.destroy();
    this.#connection = undefined;
    this.ready = false;
    this.#finishRoute();
    this.attempt();
  }

  /** Ends it without a (whole) answer. */
  #break(failure: Failure): void {
    if (this.#ended) return;
    this.#connection?.destroy();
    this.#connection = undefined;
    if (!this.#answer.sent) {
      this.#fail(failure);
      return;
    }
    this.#end(failure);
    this.#client.onBroken(this.#answer.unframed);
  }

  #fail(failure: Failure): void {
    const reply = this.#forward.onFailure(failure);
    this.#failedStatus = reply.status;
    this.#end(failure);
    this.#client.onFailed(reply);
  }

  #finishRoute(): void {
    const route = this.#route;
    this.#route = undefined;
    route?.done();
  }

  #end(error?: Stats['error']): void {
    if (this.#ended) return;
    this.#ended = true;
    this.ready = false;
    this.#finishRoute();
    this.#forward.onEnd({
      status: this.#failedStatus || this.#answer.status,
      attempts: this.#attempts,
      requestBytes: this.#requestBytes,
      responseBytes: this.#answer.bytes,
      ...(error === undefined ? {} : { error }),
    });
  }
}
