import assert from 'node:assert/strict';
import { createServer } from 'node:http';
import type { AddressInfo } from 'node:net';
import express from 'express';
import { createJaegerQuery } from '../../pkg/observability/jaeger-query.ts';
import type { JaegerTrace } from '../../pkg/observability/jaeger-json.ts';
import { otlpMessages } from '../../pkg/observability/otlp-decode.ts';
import { createOtlpReceiver } from '../../pkg/observability/otlp-receiver.ts';
import { createTraceStore } from '../../pkg/observability/trace-store.ts';
import type { OtlpExport } from './export.ts';
import type { Jaeger } from './jaeger.ts';
import { jaegerBinary, startJaeger } from './jaeger.ts';
import { cases, everything, ids } from './cases.ts';

describe('the query API and a real Jaeger', () => {
  let jaeger: Jaeger;
  let ours: string;
  let close: () => void;

  before(async function () {
    this.timeout(25 * 60_000);
    let binary: string;
    try {
      binary = await jaegerBinary();
    } catch (error) {
      // eslint-disable-next-line no-console -- a skip says why
      console.log(`skipped, no Jaeger: ${(error as Error).message.split('\n')[0]}`);
      return this.skip();
    }
    jaeger = await startJaeger(binary);
    const store = createTraceStore({ now: Date.now });
    const app = express();
    app.use(createOtlpReceiver({ onSpans: (spans) => store.add(spans) }));
    app.use('/api', createJaegerQuery(store, Date.now));
    const server = createServer(app);
    await new Promise<void>((resolve) => server.listen(0, '127.0.0.1', resolve));
    ours = `http://127.0.0.1:${(server.address() as AddressInfo).port}`;
    close = () => server.close();
    for (const data of everything) {
      for (const target of [jaeger.otlp, ours]) await post(target, data);
    }
    await arrived(jaeger.query);
  });

  after(async () => {
    close?.();
    await jaeger?.stop();
  });

  for (const { what, path, partly } of cases) {
    it(`answer alike: ${what}`, async () => {
      const [theirs, mine] = await Promise.all([get(jaeger.query, path), get(ours, path)]);
      if (partly === 'status') assert.equal(mine.status, theirs.status);
      else assert.deepEqual(mine, theirs);
    });
  }
});

/** Odd ones in JSON, even ones in protobuf: both must come to the same. */
async function post(target: string, data: OtlpExport): Promise<void> {
  const asJson = everything.indexOf(data) % 2 === 1;
  const body = asJson ? JSON.stringify(data) : new Uint8Array(otlpMessages.request.serialize(toWire(data)));
  const headers = { 'content-type': asJson ? 'application/json' : 'application/x-protobuf' };
  const response = await fetch(`${target}/v1/traces`, { method: 'POST', headers, body });
  assert.equal(response.status, 200, `${target}: ${await response.text()}`);
}

/** JSON's hex ids and base64 as bytes. */
function toWire(value: unknown, key = ''): object {
  if (Array.isArray(value)) return value.map((item) => toWire(item));
  if (typeof value === 'string' && /^(traceId|spanId|parentSpanId)$/.test(key)) return Buffer.from(value, 'hex');
  if (typeof value === 'string' && key === 'bytesValue') return Buffer.from(value, 'base64');
  if (typeof value !== 'object' || value === null) return value as object;
  return Object.fromEntries(Object.entries(value).map(([name, item]) => [name, toWire(item, name)]));
}

/** Jaeger writes behind a queue: asks until the trace that was sent last is there. */
async function arrived(query: string): Promise<void> {
  while ((await fetch(`${query}/api/traces/${ids.last}`)).status !== 200);
}

async function get(base: string, path: string): Promise<{ status: number; body: unknown }> {
  const response = await fetch(base + path);
  const text = await response.text();
  return { status: response.status, body: normalise(JSON.parse(text)) };
}

/** Brings what Jaeger leaves to chance (it walks Go maps) into one order, and process ids to their processes. */
function normalise(body: unknown): unknown {
  const { data } = body as { data: unknown };
  if (!Array.isArray(data)) return body;
  const isTraces = data.some((item: object | null) => typeof item === 'object' && item !== null && 'spans' in item);
  const items = isTraces ? (data as JaegerTrace[]).map(normaliseTrace) : data;
  const order = (item: unknown): string => JSON.stringify(item);
  return { ...(body as object), data: (items as unknown[]).sort((a, b) => (order(a) < order(b) ? -1 : 1)) };
}

function normaliseTrace({ spans, processes, ...rest }: JaegerTrace): object {
  const plain = spans.map(({ processID, ...span }) => ({ ...span, process: processes[processID] }));
  const sorted = sharingWarnings(plain).sort((a, b) => (JSON.stringify(a) < JSON.stringify(b) ? -1 : 1));
  assert.deepEqual(Object.keys(processes).sort(), [...new Set(spans.map(({ processID }) => processID))].sort());
  return { ...rest, spans: sorted, processCount: Object.keys(processes).length };
}

/**
 * Spans with one id share their warnings: Jaeger drops spans that are the same by a Go map, so it says by chance which of
 * the others is the second with its id.
 */
function sharingWarnings<Span extends { spanID: string; warnings: unknown }>(spans: Span[]): object[] {
  const warningsOf = (id: string): unknown[] =>
    spans.filter(({ spanID }) => spanID === id).map((span) => span.warnings);
  return spans.map((span) => ({
    ...span,
    warnings: warningsOf(span.spanID)
      .map((list) => JSON.stringify(list))
      .sort(),
  }));
}
