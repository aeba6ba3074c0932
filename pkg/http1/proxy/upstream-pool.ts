import type { Limits } from '../limits.ts';
import type { Deadlines } from './deadlines.ts';
import type { Upstream } from './handler.ts';
import { UpstreamConnection } from './upstream-connection.ts';

export interface PoolOptions {
  readonly limits: Limits;
  readonly deadlines: Deadlines;
  /** Idle and busy together, for one key. */
  readonly maxConnections: number;
  readonly maxIdle: number;
  readonly idleMillis: number;
}

/** More connections to one upstream than allowed. */
export class PoolOverload extends Error {
  override readonly name = 'PoolOverload';
}

interface Place {
  /** Last in, first out: the warm ones stay warm, and a burst's age out. */
  readonly idle: UpstreamConnection[];
  count: number;
}

/** Kept-alive connections to upstreams, by key. */
export class UpstreamPool {
  readonly #options: PoolOptions;
  readonly #places = new Map<string, Place>();
  #closed = false;

  constructor(options: PoolOptions) {
    this.#options = options;
  }

  /** An idle connection, if there is one. */
  take(key: string): UpstreamConnection | undefined {
    const idle = this.#places.get(key)?.idle;
    for (let connection = idle?.pop(); connection !== undefined; connection = idle?.pop()) {
      if (connection.usable) return connection;
      connection.destroy();
    }
    return undefined;
  }

  /** A new connection; rejects with `PoolOverload` when there are too many. */
  async open(upstream: Upstream): Promise<UpstreamConnection> {
    const { limits, deadlines, maxConnections } = this.#options;
    const place = this.#place(upstream.key);
    if (this.#closed || place.count >= maxConnections) throw new PoolOverload(upstream.key);
    place.count++;
    try {
      const socket = await upstream.connect('http/1.1');
      return new UpstreamConnection(socket, upstream.key, limits, deadlines, (gone) => this.#forget(gone));
    } catch (error) {
      this.#leave(upstream.key, place);
      throw error;
    }
  }

  /** Keeps a connection whose exchange is over; `millis`: its server keeps it so long. */
  keep(connection: UpstreamConnection, millis: number): void {
    const { deadlines, idleMillis, maxIdle } = this.#options;
    const place = this.#places.get(connection.key);
    if (this.#closed || place === undefined || place.idle.length >= maxIdle || millis === 0) {
      connection.destroy();
      return;
    }
    // Its server may close it from then on: a request that meets the end on the way is lost.
    connection.deadline = deadlines.within(Math.min(idleMillis, millis));
    place.idle.push(connection);
  }

  /** Ends idle connections; busy ones end with their exchange. */
  close(): void {
    this.#closed = true;
    for (const { idle } of this.#places.values()) for (const connection of idle.splice(0)) connection.destroy();
  }

  #place(key: string): Place {
    const place = this.#places.get(key) ?? { idle: [], count: 0 };
    this.#places.set(key, place);
    return place;
  }

  #forget(connection: UpstreamConnection): void {
    const place = this.#places.get(connection.key);
    if (place === undefined) return;
    const at = place.idle.indexOf(connection);
    if (at >= 0) place.idle.splice(at, 1);
    this.#leave(connection.key, place);
  }

  #leave(key: string, place: Place): void {
    place.count--;
    if (place.count === 0) this.#places.delete(key);
  }
}
