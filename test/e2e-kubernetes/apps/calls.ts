import { Client, credentials, Metadata, type ServiceError } from '@grpc/grpc-js';
import type { Agent as HttpAgent } from 'node:http';
import { request as httpRequest } from 'node:http';
import { connect as connectHttp2 } from 'node:http2';
import { request as httpsRequest } from 'node:https';
import { connect } from 'node:net';

/** One call of any protocol: `http`, `https`, `h2c`, `grpc`, `ws`, `tcp` (the client speaks first) or `first` (the server does). */
export interface Call {
  readonly url: string;
  readonly method?: string;
  readonly headers?: Readonly<Record<string, string | string[]>>;
  readonly body?: string;
  readonly timeoutMs?: number;
}

export interface CallResult {
  /** 0: no answer. gRPC: its own code stands in `grpcStatus`. */
  readonly status: number;
  readonly grpcStatus?: number;
  readonly headers: Readonly<Record<string, unknown>>;
  readonly body: string;
  readonly error?: string;
  readonly ms: number;
}

type Partial = Omit<CallResult, 'ms'>;

export async function call(what: Call, agent?: HttpAgent): Promise<CallResult> {
  const start = performance.now();
  const url = new URL(what.url);
  let result: Partial;
  try {
    result = await protocolOf(url)(url, what, agent);
  } catch (error) {
    const { code, message } = error as NodeJS.ErrnoException;
    result = { status: 0, headers: {}, body: '', error: code ?? message };
  }
  return { ...result, ms: Math.round((performance.now() - start) * 10) / 10 };
}

function protocolOf(url: URL): (url: URL, what: Call, agent?: HttpAgent) => Promise<Partial> {
  switch (url.protocol) {
    case 'http:':
    case 'https:':
      return callHttp;
    case 'h2c:':
      return callHttp2;
    case 'grpc:':
      return callGrpc;
    case 'ws:':
      return callWebSocket;
    case 'tcp:':
    case 'first:':
      return callTcp;
    default:
      throw new Error(`no such protocol: ${url.protocol}`);
  }
}

const timeoutOf = ({ timeoutMs = 5000 }: Call): number => timeoutMs;

function callHttp(url: URL, what: Call, agent?: HttpAgent): Promise<Partial> {
  return new Promise((resolve, reject) => {
    const options = { method: what.method ?? 'GET', headers: { ...what.headers }, timeout: timeoutOf(what) };
    const outgoing =
      url.protocol === 'https:'
        ? httpsRequest(url, { ...options, rejectUnauthorized: false, agent: false })
        : httpRequest(url, { ...options, agent: agent ?? false });
    outgoing.on('response', (incoming) => {
      let body = '';
      incoming.setEncoding('utf8');
      incoming.on('data', (chunk: string) => (body += chunk));
      incoming.on('end', () => resolve({ status: incoming.statusCode ?? 0, headers: incoming.headers, body }));
      incoming.on('error', reject);
      incoming.on('aborted', () => reject(new Error('aborted')));
    });
    outgoing.on('timeout', () => outgoing.destroy(new Error('timeout')));
    outgoing.on('error', reject);
    outgoing.end(what.body);
  });
}

function callHttp2(url: URL, what: Call): Promise<Partial> {
  return new Promise((resolve, reject) => {
    const session = connectHttp2(`http://${url.host}`);
    const fail = (error: Error): void => {
      session.destroy();
      reject(error);
    };
    session.on('error', fail);
    session.setTimeout(timeoutOf(what), () => fail(new Error('timeout')));
    const stream = session.request({
      ':path': url.pathname + url.search,
      ':method': what.method ?? 'GET',
      ...what.headers,
    });
    let headers: Record<string, unknown> = {};
    let body = '';
    stream.on('response', (incoming) => (headers = { ...incoming }));
    stream.setEncoding('utf8');
    stream.on('data', (chunk: string) => (body += chunk));
    stream.on('error', fail);
    stream.on('end', () => {
      session.close();
      resolve({ status: Number(headers[':status'] ?? 0), headers, body });
    });
    stream.end(what.body);
  });
}

/** The path is the method: `grpc://host:port/echo.Echo/Say`. */
function callGrpc(url: URL, what: Call): Promise<Partial> {
  return new Promise((resolve) => {
    const client = new Client(url.host, credentials.createInsecure());
    const metadata = new Metadata();
    for (const [name, value] of Object.entries(what.headers ?? {})) metadata.set(name, String(value));
    const asIs = (bytes: Buffer): Buffer => bytes;
    const headers: Record<string, unknown> = {};
    const running = client.makeUnaryRequest(
      url.pathname,
      asIs,
      asIs,
      Buffer.from(what.body ?? 'hello'),
      metadata,
      { deadline: Date.now() + timeoutOf(what) },
      (error: ServiceError | null, answer?: Buffer) => {
        client.close();
        if (error) resolve({ status: 200, grpcStatus: error.code, headers, body: error.details });
        else resolve({ status: 200, grpcStatus: 0, headers, body: answer?.toString() ?? '' });
      },
    );
    running.on('metadata', (incoming) => Object.assign(headers, incoming.getMap()));
  });
}

/** One upgrade, one masked text frame there and its echo back. */
function callWebSocket(url: URL, what: Call): Promise<Partial> {
  return new Promise((resolve, reject) => {
    const outgoing = httpRequest({
      host: url.hostname,
      port: url.port || 80,
      path: url.pathname,
      agent: false,
      timeout: timeoutOf(what),
      headers: {
        connection: 'Upgrade',
        upgrade: 'websocket',
        'sec-websocket-version': '13',
        'sec-websocket-key': 'dGhlIHNhbXBsZSBub25jZQ==',
        ...what.headers,
      },
    });
    outgoing.on('timeout', () => outgoing.destroy(new Error('timeout')));
    outgoing.on('error', reject);
    outgoing.on('response', (incoming) => {
      incoming.resume();
      resolve({ status: incoming.statusCode ?? 0, headers: incoming.headers, body: '' });
    });
    outgoing.on('upgrade', (incoming, socket) => {
      socket.on('error', reject);
      socket.once('data', (frame: Buffer) => {
        socket.destroy();
        resolve({ status: 101, headers: incoming.headers, body: frame.subarray(2).toString() });
      });
      const text = Buffer.from(what.body ?? 'hello');
      socket.write(Buffer.concat([Buffer.from([0x81, 0x80 | text.length, 0, 0, 0, 0]), text]));
    });
    outgoing.end();
  });
}

function callTcp(url: URL, what: Call): Promise<Partial> {
  return new Promise((resolve, reject) => {
    const socket = connect({ host: url.hostname, port: Number(url.port) });
    let text = '';
    socket.setEncoding('utf8');
    socket.setTimeout(timeoutOf(what), () => socket.destroy(new Error('timeout')));
    socket.on('error', reject);
    socket.on('connect', () => {
      if (url.protocol === 'tcp:') socket.write(`${what.body ?? 'hello'}\n`);
    });
    socket.on('data', (chunk: string) => {
      text += chunk;
      if (!text.includes('\n')) return;
      resolve({ status: 200, headers: {}, body: text.trimEnd() });
      socket.end();
    });
    socket.on('close', () => resolve({ status: 0, headers: {}, body: text, error: 'closed' }));
  });
}
