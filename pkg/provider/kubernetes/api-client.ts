import { Agent as HttpAgent, type ClientRequest, type IncomingMessage, request as requestHttp } from 'node:http';
import { Agent as HttpsAgent, request as requestHttps } from 'node:https';
import { StringDecoder } from 'node:string_decoder';
import type { Access } from './access.ts';
import type { QueryValues, RequestOptions } from './cluster.ts';
import { ClusterError, toClusterError } from './cluster-error.ts';

export interface StreamOptions {
  readonly query?: QueryValues;
  readonly signal: AbortSignal;
  /** Until the head of the answer is there. 30 s when absent. */
  readonly timeoutMs?: number;
  /** A longer line is an error. 8 MiB when absent. */
  readonly maxLineBytes?: number;
}

export interface ApiClient {
  json(method: string, path: string, options: RequestOptions): Promise<unknown>;
  stream(path: string, options: StreamOptions): AsyncIterable<string>;
  close(): void;
}

const defaultTimeoutMs = 30_000;
const defaultMaxBytes = 64 << 20;
const defaultMaxLineBytes = 8 << 20;
/** An error is a Status object of a few hundred bytes. */
const maxErrorBytes = 64 << 10;

/** Sends requests over kept connections. Everything that comes back is bounded in size and time. */
export function createApiClient(access: Access): ApiClient {
  const base = new URL(access.server);
  const isTls = base.protocol === 'https:';
  // A kept connection that died unseen is found by the kernel's probes.
  const agentOptions = { keepAlive: true, keepAliveMsecs: 15_000, maxFreeSockets: 8 };
  const ownAgent = isTls ? new HttpsAgent(agentOptions) : new HttpAgent(agentOptions);
  const prefix = base.pathname.replace(/\/+$/, '');

  /** Resolves with the head of the answer. The answer is destroyed when the signal is aborted. */
  async function send(
    method: string,
    path: string,
    options: RequestOptions,
    isRetry = false,
  ): Promise<IncomingMessage> {
    const { query, body, contentType, accept = 'application/json', signal } = options;
    const { headers, ca, agent = ownAgent, ...tls } = await access.credentials();
    const payload = body === undefined ? undefined : Buffer.from(JSON.stringify(body));
    return new Promise((resolve, reject) => {
      const request: ClientRequest = (isTls ? requestHttps : requestHttp)({
        agent,
        method,
        host: base.hostname.replace(/^\[|\]$/g, ''),
        port: base.port === '' ? (isTls ? 443 : 80) : Number(base.port),
        path: `${prefix}${path}${toQuery(query)}`,
        headers: {
          accept,
          'user-agent': 'tulle',
          ...headers,
          ...(payload && {
            'content-type': contentType ?? 'application/json',
            'content-length': String(payload.length),
          }),
        },
        ...(isTls && tls),
        ...(isTls && ca !== undefined && { ca: ca as string | Buffer | (string | Buffer)[] }),
        ...(signal && { signal }),
      });
      let isAnswered = false;
      request.once('response', (response) => {
        isAnswered = true;
        resolve(response);
      });
      request.on('error', (error: NodeJS.ErrnoException) => {
        // What happens to an answer on its way is told to who reads it.
        if (isAnswered) return;
        // The server closed a kept connection just as it was used again: nothing has happened.
        if (request.reusedSocket && method === 'GET' && error.code === 'ECONNRESET' && !isRetry) {
          resolve(send(method, path, options, true));
        } else reject(error);
      });
      request.end(payload);
    });
  }

  async function exchange(method: string, path: string, options: RequestOptions): Promise<string> {
    const { timeoutMs = defaultTimeoutMs, maxBytes = defaultMaxBytes } = options;
    const name = `${method} ${access.server}${path}`;
    const limit = createLimit(options.signal, timeoutMs);
    try {
      for (let isRetry = false; ; isRetry = true) {
        const response = await send(method, path, { ...options, signal: limit.signal });
        const status = response.statusCode ?? 0;
        const isFine = status >= 200 && status < 300;
        const body = await readBody(response, isFine ? maxBytes : maxErrorBytes, name, !isFine);
        if (isFine) return body;
        if (status !== 401 || isRetry) throw toClusterError(status, name, body, response.headers['retry-after']);
        // A token may have been renewed, or revoked, since it was read.
        access.renew();
      }
    } catch (error) {
      throw limit.explain(error, name);
    } finally {
      limit.clear();
    }
  }

  async function* stream(path: string, options: StreamOptions): AsyncIterable<string> {
    const { query, signal, timeoutMs = defaultTimeoutMs, maxLineBytes = defaultMaxLineBytes } = options;
    const name = `GET ${access.server}${path}`;
    const limit = createLimit(signal, timeoutMs);
    try {
      const response = await send('GET', path, { ...(query && { query }), signal: limit.signal });
      const status = response.statusCode ?? 0;
      if (status < 200 || status > 299) {
        const body = await readBody(response, maxErrorBytes, name, true);
        if (status === 401) access.renew();
        throw toClusterError(status, name, body, response.headers['retry-after']);
      }
      limit.clearTimer();
      yield* readLines(response, maxLineBytes, name);
    } catch (error) {
      throw limit.explain(error, name);
    } finally {
      // Who stops reading ends the connection.
      limit.end();
      limit.clear();
    }
  }

  return {
    async json(method, path, options) {
      const text = await exchange(method, path, options);
      if (text === '') return undefined;
      try {
        return JSON.parse(text) as unknown;
      } catch (cause) {
        throw new ClusterError(0, 'Malformed', `${method} ${access.server}${path}: the answer is no JSON`, { cause });
      }
    },
    stream,
    close: () => ownAgent.destroy(),
  };
}

function toQuery(query: QueryValues = {}): string {
  const entries = Object.entries(query).flatMap(([key, value]) =>
    value === undefined ? [] : [`${encodeURIComponent(key)}=${encodeURIComponent(String(value))}`],
  );
  return entries.length === 0 ? '' : `?${entries.join('&')}`;
}

async function readBody(response: IncomingMessage, maxBytes: number, name: string, mayBeCut: boolean): Promise<string> {
  const chunks: Buffer[] = [];
  let size = 0;
  for await (const chunk of response as AsyncIterable<Buffer>) {
    size += chunk.length;
    if (size > maxBytes) {
      response.destroy();
      if (mayBeCut) break;
      throw new ClusterError(0, 'TooLarge', `${name}: the answer is larger than ${maxBytes} bytes`);
    }
    chunks.push(chunk);
  }
  return Buffer.concat(chunks).toString('utf8');
}

async function* readLines(response: IncomingMessage, maxLineBytes: number, name: string): AsyncIterable<string> {
  const decoder = new StringDecoder('utf8');
  let rest: string[] = [];
  let restLength = 0;
  for await (const chunk of response as AsyncIterable<Buffer>) {
    const text = decoder.write(chunk);
    let start = 0;
    for (let end = text.indexOf('\n'); end !== -1; end = text.indexOf('\n', start)) {
      const line = rest.length === 0 ? text.slice(start, end) : `${rest.join('')}${text.slice(start, end)}`;
      rest = [];
      restLength = 0;
      start = end + 1;
      if (line.trim() !== '') yield line;
    }
    if (start < text.length) {
      rest.push(text.slice(start));
      restLength += text.length - start;
      if (restLength > maxLineBytes) {
        response.destroy();
        throw new ClusterError(0, 'TooLarge', `${name}: a line is longer than ${maxLineBytes} bytes`);
      }
    }
  }
  if (rest.join('').trim() !== '') throw new ClusterError(0, 'Truncated', `${name}: the answer ended inside a line`);
}

/** A signal that follows another and a timer, and knows afterwards which of the two it was. */
function createLimit(
  outer: AbortSignal | undefined,
  timeoutMs: number,
): {
  readonly signal: AbortSignal;
  clearTimer(): void;
  end(): void;
  clear(): void;
  explain(error: unknown, name: string): unknown;
} {
  const controller = new AbortController();
  const end = (): void => controller.abort();
  let isLate = false;
  const timer = setTimeout(() => {
    isLate = true;
    end();
  }, timeoutMs);
  if (outer?.aborted === true) end();
  outer?.addEventListener('abort', end, { once: true });
  return {
    signal: controller.signal,
    clearTimer: () => clearTimeout(timer),
    end,
    clear() {
      clearTimeout(timer);
      outer?.removeEventListener('abort', end);
    },
    explain(error, name) {
      if (error instanceof ClusterError) return error;
      if (isLate) return new ClusterError(0, 'Timeout', `${name}: no answer within ${timeoutMs} ms`, { cause: error });
      if (outer?.aborted === true) return new ClusterError(0, 'Aborted', `${name}: given up`, { cause: error });
      const why = error instanceof Error ? error.message : String(error);
      return new ClusterError(0, 'Unreachable', `${name}: ${why}`, { cause: error });
    },
  };
}
