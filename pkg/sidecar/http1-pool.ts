import { Agent, request } from 'node:http';
import type { AgentOptions, ClientRequest, ClientRequestArgs } from 'node:http';
import type { Duplex } from 'node:stream';
import { maxHeaderBytes } from './headers.ts';
import type { Upstream } from './upstream.ts';

export interface Http1Request {
  readonly method: string;
  readonly path: string;
  /** The whole block, flat: host and framing included. */
  readonly headers: readonly string[];
  /** Inactivity on the connection while the request is under way raises `timeout` on it. */
  readonly idleTimeout: number;
}

/** Kept-alive HTTP/1.1 connections, by the key of their upstream. */
export interface Http1Pool {
  /** Emits `socket` once it has a connection whose peer was verified, `error` before that when there is none. */
  request(upstream: Upstream, request: Http1Request): ClientRequest;
  close(): void;
}

interface PoolOptions {
  readonly maxConnections: number;
  readonly maxIdle: number;
  readonly idleTimeout: number;
}

type WithUpstream = ClientRequestArgs & { upstream: Upstream };

class UpstreamAgent extends Agent {
  override getName(options?: WithUpstream): string {
    return options?.upstream.key ?? '';
  }

  override createConnection(options: WithUpstream, created: (error: Error | null, socket: Duplex) => void): undefined {
    options.upstream.connect('http/1.1').then(
      (socket) => created(null, socket),
      (error: Error) => created(error, undefined as never),
    );
  }
}

export function createHttp1Pool(options: PoolOptions): Http1Pool {
  const agentOptions: AgentOptions = {
    keepAlive: true,
    maxSockets: options.maxConnections,
    maxFreeSockets: options.maxIdle,
    // Last in, first out: a burst's connections age out, and the warm ones stay warm.
    scheduling: 'lifo',
    timeout: options.idleTimeout,
  };
  const agent = new UpstreamAgent(agentOptions);

  return {
    request(upstream, { method, path, headers, idleTimeout }) {
      const args: WithUpstream = {
        agent,
        upstream,
        method,
        path,
        headers,
        timeout: idleTimeout,
        maxHeaderSize: maxHeaderBytes,
        insecureHTTPParser: false,
      };
      return request(args);
    },
    close() {
      agent.destroy();
    },
  };
}
