import { chmod, rm } from 'node:fs/promises';
import { createServer } from 'node:http';
import type { IncomingMessage, Server, ServerResponse } from 'node:http';
import { metricsContentType } from '../observability/metrics.ts';
import type { Metrics } from '../observability/metrics.ts';
import type { OutboundListener } from './outbound-listener.ts';
import type { PolicyStore } from './policy-store.ts';

export interface AdminOptions {
  readonly path: string;
  readonly metrics: Metrics;
  readonly store: PolicyStore;
  /** Why this sidecar isn't ready; undefined when it is. */
  readonly notReady: () => string | undefined;
  readonly listeners: () => readonly OutboundListener[];
  /** 127.0.0.1 port of the forward proxy, in proxy mode. */
  readonly proxyPort: () => number | undefined;
  readonly drain: () => Promise<void>;
  /** What else is worth showing: the state of the stream, who this is. */
  readonly status: () => Readonly<Record<string, unknown>>;
}

/** The admin API on a unix socket that only its owner may open. Resolves once it listens. */
export async function runAdmin(options: AdminOptions): Promise<Server> {
  const { path } = options;
  const server = createServer((req, res) => {
    answer(options, req, res).catch(() => res.destroy());
  });
  server.requestTimeout = 10_000;
  await rm(path, { force: true });
  await new Promise<void>((resolve, reject) => {
    server.once('error', reject);
    server.listen({ path }, resolve);
  });
  await chmod(path, 0o600);
  return server;
}

async function answer(options: AdminOptions, req: IncomingMessage, res: ServerResponse): Promise<void> {
  const { metrics, store, notReady, listeners, proxyPort, drain, status } = options;
  req.resume();
  switch (`${req.method} ${(req.url ?? '').replace(/\?.*$/, '')}`) {
    case 'GET /healthz':
      return text(res, 200, 'ok\n');
    case 'GET /ready': {
      const why = notReady();
      return text(res, why === undefined ? 200 : 503, why === undefined ? 'ready\n' : `not ready: ${why}\n`);
    }
    case 'GET /stats':
    case 'GET /metrics':
      return send(res, 200, metricsContentType, metrics.render());
    case 'GET /policy':
      return json(res, toPolicyJson(store));
    case 'GET /listeners':
      return json(res, { proxyPort: proxyPort(), listeners: listeners() });
    case 'GET /status':
      return json(res, status());
    case 'POST /drain':
      await drain();
      return text(res, 200, 'drained\n');
    default:
      return text(res, 404, 'GET /ready /healthz /stats /policy /listeners /status, POST /drain\n');
  }
}

/** The policy in force. Keys and certificates are no part of it. */
function toPolicyJson({ settings, inbound, outbound, endpoints, directory }: PolicyStore): object {
  return {
    settings,
    inbound,
    outbound: [...outbound.values()],
    endpoints: [...endpoints.values()],
    directory: [...directory.values()],
  };
}

function text(res: ServerResponse, status: number, body: string): void {
  send(res, status, 'text/plain; charset=utf-8', body);
}

function json(res: ServerResponse, value: object): void {
  send(res, 200, 'application/json', `${JSON.stringify(value, undefined, 2)}\n`);
}

function send(res: ServerResponse, status: number, type: string, body: string): void {
  res.writeHead(status, {
    'content-type': type,
    'content-length': Buffer.byteLength(body),
  });
  res.end(body);
}
