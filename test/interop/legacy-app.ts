import { once } from 'node:events';
import { createServer, get } from 'node:http';
import type { IncomingMessage } from 'node:http';
import type { AddressInfo } from 'node:net';
import jaeger from 'jaeger-client';
import type { SpanContext } from 'jaeger-client';

/** How an app of the time before OpenTelemetry passes its trace on. */
export type Codec = 'b3' | 'uber-trace-id';

export interface LegacyAppOptions {
  readonly codec: Codec;
  /** Where it calls on, and under which name. */
  readonly backend: { readonly port: number; readonly host: string };
  /** `http://127.0.0.1:14268/api/traces`: reports its spans there in Thrift. */
  readonly collector?: string;
}

export interface LegacyApp {
  readonly port: number;
  /** Contexts of its own spans, in the order of the requests. */
  readonly spans: SpanContext[];
  /** Resolves when its spans are reported. */
  close(): Promise<void>;
}

const httpHeaders = 'http_headers';

/** A web app written with jaeger-client, which knows nothing of the mesh: takes a request, calls its backend, answers with its answer. */
export async function startLegacyApp({ codec, backend, collector }: LegacyAppOptions): Promise<LegacyApp> {
  const reporter = collector === undefined ? {} : { collectorEndpoint: collector, flushIntervalMs: 50 };
  const tracer = jaeger.initTracer(
    { serviceName: 'legacy', sampler: { type: 'const', param: 1 }, reporter },
    { logger: { info() {}, error() {} } },
  );
  if (codec === 'b3') {
    const b3 = new jaeger.ZipkinB3TextMapCodec({ urlEncoding: true });
    tracer.registerInjector(httpHeaders, b3);
    tracer.registerExtractor(httpHeaders, b3);
  }
  const spans: SpanContext[] = [];
  const server = createServer((request, response) => {
    const span = tracer.startSpan('recommend', { childOf: tracer.extract(httpHeaders, request.headers) });
    spans.push(span.context());
    const headers: Record<string, string> = { host: backend.host };
    tracer.inject(span.context(), httpHeaders, headers);
    get({ host: '127.0.0.1', port: backend.port, path: '/books', headers, agent: false }, (answer: IncomingMessage) => {
      response.writeHead(answer.statusCode ?? 502);
      answer.pipe(response);
      answer.once('end', () => span.finish());
    }).on('error', () => response.writeHead(502).end());
  });
  server.listen(0, '127.0.0.1');
  await once(server, 'listening');
  return {
    port: (server.address() as AddressInfo).port,
    spans,
    close: async () => {
      server.closeAllConnections();
      server.close();
      await new Promise<void>((resolve) => tracer.close(resolve));
    },
  };
}
