import assert from 'node:assert/strict';
import { unifyEnvoySpan } from './envoy-span.ts';
import type { Span, Tag } from './span.ts';

function spanOf(tags: Readonly<Record<string, string | number>>, scope = 'envoy'): Span {
  const attributes = Object.entries(tags).map(([key, value]): Tag => ({
    key,
    type: typeof value === 'number' ? 'int64' : 'string',
    value,
  }));
  return {
    traceId: 'a'.repeat(32),
    spanId: 'b'.repeat(16),
    parentSpanId: '',
    traceState: '',
    name: 'GET cart.shop:80',
    kind: 'server',
    startNs: 0n,
    durationNs: 1,
    attributes,
    events: [],
    links: [],
    status: 'unset',
    statusMessage: '',
    resource: { service: 'cart', attributes: [] },
    scope: { name: scope, version: '' },
  };
}

function tagsOf({ attributes }: Span): Record<string, unknown> {
  return Object.fromEntries(attributes.map(({ key, value }) => [key, value]));
}

describe('unifyEnvoySpan', () => {
  it('speaks the words of the Node sidecar', () => {
    const span = unifyEnvoySpan(
      spanOf({
        'tulle.direction': 'inbound',
        'tulle.source': 'spiffe://cluster.local/ns/shop/sa/web',
        'tulle.service': 'shop/cart:80',
        'http.method': 'GET',
        'http.protocol': 'HTTP/1.1',
        'http.url': 'http://cart/items?page=2',
        'http.status_code': '200',
        user_agent: '-',
        component: 'proxy',
        node_id: 'shop/cart-0',
      }),
    );
    assert.deepEqual(tagsOf(span), {
      'tulle.direction': 'inbound',
      'tulle.source': 'shop/web',
      'tulle.service': 'shop/cart:80',
      'tulle.verdict': 'allowed',
      'http.request.method': 'GET',
      'network.protocol.version': '1.1',
      'url.path': '/items',
      'url.query': 'page=2',
      'http.response.status_code': 200,
      'server.address': 'cart.shop',
      'server.port': 80,
    });
    assert.equal(span.status, 'unset');
  });

  it('marks a denial as an error, with its reason', () => {
    const denied = { 'tulle.direction': 'inbound', 'tulle.verdict': 'denied', 'tulle.reason': 'NoTarget' };
    const span = unifyEnvoySpan(spanOf({ ...denied, 'http.status_code': '403' }));
    assert.equal(span.status, 'error');
    assert.equal(tagsOf(span)['error.type'], 'NoTarget');
  });

  it('takes service and method of a gRPC call from its path', () => {
    const call = { 'tulle.direction': 'outbound', 'rpc.system': 'grpc', 'http.url': 'http://cart/shop.Cart/Add' };
    const tags = tagsOf(unifyEnvoySpan(spanOf({ ...call, 'rpc.grpc.status_code': '7' })));
    assert.deepEqual([tags['rpc.service'], tags['rpc.method'], tags['rpc.grpc.status_code']], ['shop.Cart', 'Add', 7]);
  });

  it('leaves the spans of others alone', () => {
    const span = spanOf({ 'http.url': 'http://cart/', 'tulle.direction': 'inbound' }, 'tulle-sidecar');
    assert.equal(unifyEnvoySpan(span), span);
  });
});
