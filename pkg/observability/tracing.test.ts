import assert from 'node:assert/strict';
import { once } from 'node:events';
import { mkdtemp, rm } from 'node:fs/promises';
import { createServer } from 'node:http';
import type { IncomingMessage, Server } from 'node:http';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { createTracing } from './tracing.ts';
import type { HopSpan } from './tracing.ts';

const span: HopSpan = {
  traceId: '4bf92f3577b34da6a3ce929d0e0e4736',
  spanId: '00f067aa0ba902b7',
  parentSpanId: 'b7ad6b7169203331',
  kind: 'client',
  name: 'GET cart.shop:80',
  startTime: 1_700_000_000_000.25,
  endTime: 1_700_000_000_001.5,
  attributes: { 'tulle.source': 'shop/web' },
};

describe('tracing', () => {
  let dir: string;
  let receiver: Server;
  let status: number;
  const bodies: Buffer[] = [];

  beforeEach(async () => {
    dir = await mkdtemp(join(tmpdir(), 'tulle-o-'));
    bodies.length = 0;
    status = 200;
    receiver = createServer((req: IncomingMessage, res) => {
      const chunks: Buffer[] = [];
      req.on('data', (chunk: Buffer) => chunks.push(chunk));
      req.on('end', () => {
        assert.equal(`${req.method} ${req.url}`, 'POST /v1/traces');
        bodies.push(Buffer.concat(chunks));
        res.writeHead(status).end();
      });
    }).listen(join(dir, 'otlp.sock'));
    await once(receiver, 'listening');
  });

  afterEach(async () => {
    receiver.closeAllConnections();
    receiver.close();
    await rm(dir, { recursive: true, force: true });
  });

  const open = (maxQueue?: number) =>
    createTracing({
      resource: { 'service.name': 'web' },
      receivers: [`unix:${join(dir, 'otlp.sock')}`],
      ...(maxQueue === undefined ? {} : { maxQueue }),
    });

  it('sends spans with the ids that their hops have passed on, over a unix socket', async () => {
    const tracing = open();
    tracing.record(span);
    tracing.record({ ...span, spanId: '00f067aa0ba902b8', error: 'NoTarget' });
    await tracing.shutdown();
    assert.deepEqual({ ...tracing.counts }, { recorded: 2, sent: 2, lost: 0 });
    const all = Buffer.concat(bodies);
    for (const id of [span.traceId, span.spanId, span.parentSpanId, '00f067aa0ba902b8']) {
      assert.ok(all.includes(Buffer.from(id as string, 'hex')), id);
    }
    for (const text of ['service.name', 'web', 'GET cart.shop:80', 'shop/web', 'NoTarget'])
      assert.ok(all.includes(text), text);
  });

  it('bounds what waits, and counts what it drops', async () => {
    const tracing = open(10);
    for (let i = 0; i < 25; i++) tracing.record(span);
    await tracing.shutdown();
    assert.deepEqual({ ...tracing.counts }, { recorded: 25, sent: 10, lost: 15 });
  });

  it('counts what a receiver refuses', async () => {
    status = 400;
    const tracing = open();
    tracing.record(span);
    await tracing.shutdown();
    assert.deepEqual({ ...tracing.counts }, { recorded: 1, sent: 0, lost: 1 });
  });
});
