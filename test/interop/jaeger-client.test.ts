import assert from 'node:assert/strict';
import { once } from 'node:events';
import type { IncomingMessage, Server } from 'node:http';
import { createServer, get } from 'node:http';
import type { AddressInfo } from 'node:net';
import express from 'express';
import type { JaegerTrace } from '../../pkg/observability/jaeger-json.ts';
import { createOtlpForwarder } from '../../pkg/observability/otlp-forwarder.ts';
import { createOtlpReceiver } from '../../pkg/observability/otlp-receiver.ts';
import { textOf } from '../../pkg/observability/span.ts';
import type { Span } from '../../pkg/observability/span.ts';
import { createTraceStore } from '../../pkg/observability/trace-store.ts';
import type { TraceStore } from '../../pkg/observability/trace-store.ts';
import { decodeTrace, traceHeaders } from '../../pkg/sidecar/trace-context.ts';
import type { Jaeger } from '../jaeger/jaeger.ts';
import { jaegerBinary, startJaeger } from '../jaeger/jaeger.ts';
import type { TestMesh, TestSidecar } from '../support/sidecar-mesh.ts';
import { allow, createTestMesh } from '../support/sidecar-mesh.ts';
import type { Codec, LegacyApp } from './legacy-app.ts';
import { startLegacyApp } from './legacy-app.ts';

const supported: Readonly<Record<Codec, boolean>> = { b3: true, 'uber-trace-id': traceHeaders.has('uber-trace-id') };
const enough = 64;

/** web → its sidecar → legacy's sidecar → legacy (jaeger-client) → legacy's sidecar → books' sidecar → books */
for (const codec of ['b3', 'uber-trace-id'] as const) {
  describe(`an app with jaeger-client and ${codec}`, function () {
    this.timeout(30_000);
    let mesh: TestMesh;
    let web: TestSidecar;
    let legacy: LegacyApp;
    let books: Server;
    let receiver: Server;
    let store: TraceStore;
    let jaeger: Jaeger | undefined;
    const ending = new AbortController();

    before(async function () {
      // The sidecars must speak a codec for the app's spans to join.
      if (!supported[codec]) return this.skip();
      jaeger = await startJaegerIfBuilt();
      store = createTraceStore({ now: Date.now });
      receiver = await startReceiver(store, jaeger, ending.signal);
      const otlp = [`http://127.0.0.1:${portOf(receiver)}`];
      books = createServer((_request, response) => response.end('books')).listen(0, '127.0.0.1');
      await once(books, 'listening');
      mesh = await createTestMesh();
      const portsOf = (service: string) => [{ port: 80, protocol: 'http' as const, services: [service] }];
      web = await mesh.start({ namespace: 'shop', account: 'web', otlp });
      const booksSidecar = await mesh.start({
        namespace: 'shop',
        account: 'books',
        otlp,
        inbound: { ports: portsOf('shop/books') },
        appPorts: { 80: portOf(books) },
      });
      // The app must know the port of its sidecar, and its sidecar that of the app.
      const appPorts: Record<string, number> = {};
      const legacySidecar = await mesh.start({
        namespace: 'shop',
        account: 'legacy',
        otlp,
        inbound: { ports: portsOf('shop/legacy') },
        appPorts,
      });
      mesh.expose({ namespace: 'shop', name: 'books', port: 80 }, [booksSidecar], [legacySidecar]);
      mesh.expose({ namespace: 'shop', name: 'legacy', port: 80 }, [legacySidecar], [web]);
      booksSidecar.setRules([allow([legacySidecar.identity])]);
      legacySidecar.setRules([allow([web.identity])]);
      await Promise.all([web.ready(), legacySidecar.ready(), booksSidecar.ready()]);
      legacy = await startLegacyApp({
        codec,
        backend: { port: legacySidecar.portOf('shop/books:80'), host: 'books.shop' },
        ...(jaeger && { collector: `${jaeger.collector}/api/traces` }),
      });
      appPorts['80'] = legacy.port;
    });

    after(async () => {
      await legacy?.close();
      await mesh?.stop();
      ending.abort();
      books?.close();
      receiver?.closeAllConnections();
      receiver?.close();
      await jaeger?.stop();
    });

    async function ask(): Promise<void> {
      const options = { host: '127.0.0.1', port: web.portOf('shop/legacy:80'), headers: { host: 'legacy.shop' } };
      const [answer] = (await once(get({ ...options, agent: false }), 'response')) as [IncomingMessage];
      answer.resume();
      await once(answer, 'end');
      assert.equal(answer.statusCode, 200);
    }

    it('stays in one trace', async () => {
      const whole = wholeTrace(store);
      await ask();
      const spans = await whole;

      assert.deepEqual(
        spans.map(describeSpan).sort(),
        ['books served by books', 'books called by legacy', 'legacy called by web', 'legacy served by legacy'].sort(),
      );
      const [own] = legacy.spans;
      const served = spans.find((span) => describeSpan(span) === 'legacy served by legacy');
      const called = spans.find((span) => describeSpan(span) === 'books called by legacy');
      assert.equal(own?.traceIdStr.padStart(32, '0'), served?.traceId);
      assert.equal(own?.parentIdStr?.padStart(16, '0'), served?.spanId);
      assert.equal(called?.parentSpanId, own?.spanIdStr.padStart(16, '0'));
    });

    it(`stays in one trace ${enough} times, also with ids whose zeros the client leaves out`, async function () {
      if (!readsShortIds(codec)) return this.skip();
      const before = store.stats().traces;
      const arrived = waitFor(store, () => store.stats().spans >= (before + enough) * 4);
      for (let index = 0; index < enough; index += 1) await ask();
      await arrived;

      assert.equal(store.stats().traces, before + enough);
    });

    it('is one trace in a real Jaeger too, with the span of the app in the middle', async function () {
      if (jaeger === undefined) return this.skip();
      await ask();
      const [trace] = store.traces();
      const id = trace?.traceId ?? '';
      let spans: JaegerTrace['spans'] = [];
      while (spans.length < 5) {
        const answer = (await (await fetch(`${jaeger.query}/api/traces/${id}`)).json()) as {
          data: JaegerTrace[] | null;
        };
        spans = answer.data?.[0]?.spans ?? [];
      }
      const ids = new Set(spans.map(({ spanID }) => spanID));
      const orphans = spans.filter(({ references }) => references.some(({ spanID }) => !ids.has(spanID)));
      assert.deepEqual(orphans, []);
      assert.equal(spans.filter(({ references }) => references.length === 0).length, 1);
    });
  });
}

function portOf(server: Server): number {
  return (server.address() as AddressInfo).port;
}

async function startJaegerIfBuilt(): Promise<Jaeger | undefined> {
  try {
    return await startJaeger(await jaegerBinary());
  } catch {
    return undefined;
  }
}

async function startReceiver(store: TraceStore, jaeger: Jaeger | undefined, signal: AbortSignal): Promise<Server> {
  const forwarder = jaeger && createOtlpForwarder({ url: jaeger.otlp, signal });
  const app = express();
  app.use(
    createOtlpReceiver({
      onSpans: (spans) => store.add(spans),
      ...(forwarder && { onExport: (body, contentType) => forwarder.send(body, contentType) }),
    }),
  );
  const server = createServer(app).listen(0, '127.0.0.1');
  await once(server, 'listening');
  return server;
}

function wholeTrace(store: TraceStore): Promise<readonly Span[]> {
  return waitFor(store, () => store.traces().find(({ spans }) => spans.length === 4)?.spans);
}

/** The first truthy answer, asked anew whenever spans come. */
function waitFor<T>(store: TraceStore, ask: () => T | undefined | false): Promise<T> {
  return new Promise((resolve) => {
    const stop = store.subscribe(() => {
      const answer = ask();
      if (answer === undefined || answer === false) return;
      stop();
      resolve(answer);
    });
  });
}

function describeSpan(span: Span): string {
  const service = textOf(span.attributes, 'server.address')?.split('.')[0] ?? '';
  return `${service} ${span.kind === 'client' ? 'called' : 'served'} by ${span.resource.service ?? ''}`;
}

/** jaeger-client writes ids without their leading zeros: one in eight requests has such an id. */
function readsShortIds(codec: Codec): boolean {
  const headers: Record<string, string> =
    codec === 'b3'
      ? { 'x-b3-traceid': 'abcdef0123456789', 'x-b3-spanid': '123456789abcdef' }
      : { 'uber-trace-id': 'abcdef0123456789:123456789abcdef:0:1' };
  return decodeTrace((name) => (headers[name] === undefined ? [] : [headers[name]])).spanId === '0123456789abcdef';
}
