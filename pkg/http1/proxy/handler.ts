import type { Duplex } from 'node:stream';
import type { HeadEdits, RequestEdits } from '../forward-head.ts';
import type { RequestHead, ResponseHead } from '../head.ts';
import type { RefusalReason } from '../refusal.ts';

/** One place to connect to. */
export interface Upstream {
  /** Equal keys share connections. */
  readonly key: string;
  /** Resolves once the peer is who it must be. The sockets must have `allowHalfOpen`. */
  connect(protocol: 'http/1.1'): Promise<Duplex>;
}

/** A way for one attempt. It ends with exactly one `done`. */
export interface Route {
  readonly upstream: Upstream;
  /** No connection could be made. */
  failed(): void;
  succeeded(): void;
  done(): void;
}

/** An answer of the proxy's own. */
export interface LocalReply {
  readonly kind: 'reply';
  readonly status: number;
  /** Complete lines, `Name: value\r\n` each. Framing and Connection are added. */
  readonly lines: string;
  readonly body: string;
  /** The last answer on its connection. */
  readonly close?: boolean;
}

/** Why there is no answer of the upstream's. */
export type Failure = 'noRoute' | 'connect' | 'overload' | 'reset' | 'timeout' | 'badResponse';

/** How a forwarded request ended. */
export interface Stats {
  /** Of the answer that the client got, or began to get; 0: none. */
  readonly status: number;
  readonly attempts: number;
  readonly requestBytes: number;
  readonly responseBytes: number;
  /** Absent: the answer was complete. `clientGone`: nobody waited for it any more. */
  readonly error?: Failure | 'clientGone' | RefusalReason;
}

export interface Forward {
  readonly kind: 'forward';
  readonly edits: RequestEdits;
  /** The way for the first or for one more attempt; undefined when there is none (left). */
  next(): Route | undefined;
  /** Edits of the response's head; also told of 101 and of interim responses that are passed on. */
  onResponse(head: ResponseHead): HeadEdits;
  /** No answer will come: what the client is told instead. */
  onFailure(failure: Failure): LocalReply;
  /** Both sides speak another protocol now: their sockets are the handler's. */
  onSwitch(switched: Switched): void;
  /** Exactly once, last. */
  onEnd(stats: Stats): void;
}

/** Two sockets that speak another protocol than HTTP now; paused, without listeners. */
export interface Switched {
  readonly client: Duplex;
  readonly upstream: Duplex;
  /** Read already, behind the head. */
  readonly fromClient: Buffer;
  readonly fromUpstream: Buffer;
  /** To be called when both have ended. */
  readonly end: () => void;
}

/** The connection is no more HTTP, or somebody else's: the socket, and what was read of it behind the head. */
export interface Take {
  readonly kind: 'take';
  take(socket: Duplex, rest: Buffer): void;
}

/** The policy of one listener. */
export interface Handler {
  onRequest(head: RequestHead): Forward | LocalReply | Take;
  /** The bytes are no request: `status` and what to say. Also for `timeout`, 408. */
  onRefused(reason: RefusalReason | 'timeout', status: number): LocalReply;
  /** True: answers end their connections. */
  draining(): boolean;
}

/** Milliseconds of silence that end things. */
export interface Timeouts {
  /** A head that isn't complete by then. */
  readonly head: number;
  /** Kept-alive connections of clients. */
  readonly clientIdle: number;
  /**
   * A client that has ended its side in the middle of an exchange waits so long for its answer; 0: it is gone. Some do
   * that, though most that do have given up.
   */
  readonly halfClosed: number;
  /** A request or answer under way on which nothing moves. */
  readonly stream: number;
  /** A client that goes on sending after its answer is complete is listened to for so long. */
  readonly linger: number;
}

export const defaultTimeouts: Timeouts = {
  head: 30_000,
  clientIdle: 600_000,
  halfClosed: 1_000,
  stream: 300_000,
  linger: 2_000,
};
