import type { Duplex } from 'node:stream';
import type { Limits } from '../limits.ts';
import { ClientConnection } from './client-connection.ts';
import type { ExchangeTools } from './exchange.ts';
import type { Handler } from './handler.ts';

export interface FrontendOptions extends ExchangeTools {
  readonly limits: Limits;
}

/** Speaks HTTP/1.1 on connections that others have accepted, each with its own handler. */
export class Http1Frontend {
  readonly #options: FrontendOptions;
  readonly #connections = new Set<ClientConnection>();

  constructor(options: FrontendOptions) {
    this.#options = options;
  }

  /** The socket must have `allowHalfOpen`, and an `error` listener until now. */
  accept(socket: Duplex, handler: Handler): void {
    const onGone = (connection: ClientConnection): boolean => this.#connections.delete(connection);
    this.#connections.add(new ClientConnection(socket, { ...this.#options, handler, onGone }));
  }

  /** Ends connections that have nothing under way; the others end with their answer, if their handler drains. */
  drain(): void {
    for (const connection of this.#connections) connection.drain();
  }

  close(): void {
    for (const connection of this.#connections) connection.destroy();
  }
}
