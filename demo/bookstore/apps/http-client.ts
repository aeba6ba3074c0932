import { Agent, request, type IncomingHttpHeaders, type OutgoingHttpHeaders } from 'node:http';

export interface Answer {
  /** 0: no answer at all. */
  readonly status: number;
  readonly headers: IncomingHttpHeaders;
  readonly body: string;
}

const agent = new Agent({ keepAlive: true, maxSockets: 32 });
const largestBody = 64 * 1024;

/** Sends one request, through `http_proxy` when the environment has one, as curl does. Never throws. */
export function send(method: string, url: URL, headers: OutgoingHttpHeaders = {}, body = ''): Promise<Answer> {
  const proxy = process.env['http_proxy'];
  const target = proxy === undefined ? direct(url) : throughProxy(url, new URL(proxy));
  return new Promise((resolve) => {
    const failed = (error: Error): void => resolve({ status: 0, headers: {}, body: error.message });
    const outgoing = request(
      { ...target, agent, method, timeout: 10_000, headers: { ...headers, ...target.headers } },
      (incoming) => {
        let text = '';
        incoming.setEncoding('utf8');
        incoming.on('data', (chunk: string) => (text = (text + chunk).slice(0, largestBody)));
        incoming.on('end', () => resolve({ status: incoming.statusCode ?? 0, headers: incoming.headers, body: text }));
        incoming.on('error', failed);
      },
    );
    outgoing.on('timeout', () => outgoing.destroy(new Error('no answer within 10 s')));
    outgoing.on('error', failed);
    outgoing.end(body);
  });
}

interface Target {
  readonly host: string;
  readonly port: string;
  readonly path: string;
  readonly headers: OutgoingHttpHeaders;
}

function direct(url: URL): Target {
  return { host: url.hostname, port: url.port || '80', path: url.pathname + url.search, headers: {} };
}

function throughProxy(url: URL, proxy: URL): Target {
  const secret = Buffer.from(`${decodeURIComponent(proxy.username)}:${decodeURIComponent(proxy.password)}`);
  return {
    host: proxy.hostname,
    port: proxy.port || '80',
    path: url.href,
    headers: { host: url.host, 'proxy-authorization': `Basic ${secret.toString('base64')}` },
  };
}
