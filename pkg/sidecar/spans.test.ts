import assert from 'node:assert/strict';
import { once } from 'node:events';
import { request } from 'node:http';
import type { IncomingMessage } from 'node:http';
import type { HopSpan } from '../observability/tracing.ts';
import { startHttpPair } from '../../test/support/http-pair.ts';
import type { HttpPair } from '../../test/support/http-pair.ts';
import { allow, readAll } from '../../test/support/sidecar-mesh.ts';

const traceId = '4bf92f3577b34da6a3ce929d0e0e4736';
const spanId = '00f067aa0ba902b7';

describe('spans and trace headers of two hops', () => {
  let pair: HttpPair;
  let seen: IncomingMessage['headers'] = {};
  const spans: HopSpan[] = [];
  const onSpan = (span: HopSpan): void => void spans.push(span);

  before(async () => {
    pair = await startHttpPair({ client: { onSpan }, server: { onSpan } });
    pair.handler = (req, res) => {
      seen = req.headers;
      res.statusCode = req.url === '/broken' ? 500 : 200;
      res.end();
    };
  });
  beforeEach(() => {
    spans.length = 0;
    pair.server.setRules([allow([pair.client.identity])]);
  });
  after(() => pair.stop());

  async function get(
    headers: Record<string, string>,
    path = '/books?id=1',
  ): Promise<{ client: HopSpan; server: HopSpan }> {
    const req = request({ port: pair.port(), path, headers: { host: 'cart.shop', ...headers } }).end();
    const [res] = (await once(req, 'response')) as [IncomingMessage];
    await readAll(res);
    while (spans.length < 2) await new Promise((resolve) => setImmediate(resolve));
    const [client, server] = ['client', 'server'].map((kind) => spans.find((span) => span.kind === kind));
    return { client: client as HopSpan, server: server as HopSpan };
  }

  it('begins a trace: client span, server span, and all codecs for the app', async () => {
    const { client, server } = await get({ baggage: 'k=v' });
    assert.equal(client.parentSpanId, undefined);
    assert.equal(server.parentSpanId, client.spanId);
    assert.equal(seen['traceparent'], `00-${server.traceId}-${server.spanId}-01`);
    assert.equal(seen['x-b3-traceid'], server.traceId);
    assert.equal(seen['x-b3-spanid'], server.spanId);
    assert.equal(seen['x-b3-sampled'], '1');
    assert.equal(seen['baggage'], 'k=v');
    assert.equal(seen['uber-trace-id'], `${server.traceId}:${server.spanId}:${client.spanId}:1`);
  });

  it('joins W3C, and keeps its state', async () => {
    const { client } = await get({ traceparent: `00-${traceId}-${spanId}-01`, tracestate: 'a=1', b3: '0' });
    assert.equal(client.traceId, traceId);
    assert.equal(client.parentSpanId, spanId);
    assert.equal(seen['tracestate'], 'a=1');
    assert.equal(seen['b3'], undefined);
  });

  it('joins B3 of 64 bits, as OSM apps forward it: ids alone', async () => {
    const { client, server } = await get({ 'x-b3-traceid': traceId.slice(16), 'x-b3-spanid': spanId });
    assert.equal(client.traceId, `0000000000000000${traceId.slice(16)}`);
    assert.equal(client.parentSpanId, spanId);
    assert.equal(server.traceId, client.traceId);
  });

  it('records nothing of a trace that is not sampled, and says so to the app', async () => {
    const req = request({ port: pair.port(), headers: { host: 'cart.shop', b3: '0' } }).end();
    const [res] = (await once(req, 'response')) as [IncomingMessage];
    await readAll(res);
    assert.match(String(seen['traceparent']), /-00$/);
    assert.equal(seen['x-b3-sampled'], '0');
    await get({});
    assert.equal(spans.length, 2);
  });

  it('says what happened in the words of the conventions and of the mesh', async () => {
    const { client, server } = await get({ 'user-agent': 'test/1' });
    assert.equal(client.name, 'GET cart.shop:80');
    assert.deepEqual(client.attributes, {
      'server.address': 'cart.shop',
      'server.port': 80,
      'tulle.direction': 'outbound',
      'tulle.service': 'shop/cart:80',
      'tulle.verdict': 'allowed',
      'tulle.source': 'shop/web',
      'tulle.backend': 'cart',
      'tulle.destination': 'shop/cart',
      'tulle.pod': 'shop/cart-0',
      'http.request.method': 'GET',
      'url.path': '/books',
      'url.query': 'id=1',
      'http.response.status_code': 200,
      'network.protocol.version': '1.1',
      'user_agent.original': 'test/1',
    });
    assert.equal(server.attributes['tulle.rule'], 'shop/rule');
    assert.equal(server.attributes['tulle.mode'], 'enforce');
    assert.ok(server.endTime >= server.startTime && server.startTime >= client.startTime);
  });

  it('shows the headers that rules look at, bounded, and no secrets', async () => {
    const origin = { kind: 'HTTPRouteGroup', namespace: 'shop', name: 'g' };
    const headers = ['x-tier', 'x-long', 'authorization', 'user-agent'].map((name) => ({ name, value: '.*' }));
    pair.server.setRules([allow([pair.client.identity], { http: [{ name: 'm', origin, headers }] })]);
    const { client, server } = await get({
      'x-tier': 'gold',
      'x-long': 'a'.repeat(1_000),
      'x-other': 'b',
      authorization: 'Bearer secret',
      'user-agent': 'c',
    });
    const shown = Object.entries(server.attributes).filter(([name]) => name.startsWith('http.request.header.'));
    assert.deepEqual(Object.fromEntries(shown), {
      'http.request.header.x-long': ['a'.repeat(256)],
      'http.request.header.x-tier': ['gold'],
    });
    assert.ok(Object.keys(client.attributes).every((name) => !name.startsWith('http.request.header.')));
  });

  it('marks denials and failures', async () => {
    const broken = await get({}, '/broken');
    assert.equal(broken.server.error, '500');
    spans.length = 0;
    pair.server.setRules([]);
    const { client, server } = await get({});
    assert.equal(server.error, 'NoTarget');
    assert.equal(server.attributes['tulle.verdict'], 'denied');
    assert.equal(server.attributes['error.type'], 'NoTarget');
    assert.equal(client.attributes['http.response.status_code'], 403);
  });
});
