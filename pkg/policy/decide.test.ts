import assert from 'node:assert/strict';
import { decideInbound, decideOutbound, pickBackend } from './decide.ts';
import type { ServiceIdentity } from './identity.ts';
import type { AccessRule, InboundPolicy } from './inbound.ts';
import type { HttpMatch, HttpRequest } from './match.ts';
import type { OutboundRoute, OutboundService, WeightedBackend } from './outbound.ts';

const buyer = 'spiffe://cluster.local/ns/shop/sa/buyer' as ServiceIdentity;
const thief = 'spiffe://cluster.local/ns/shop/sa/thief' as ServiceIdentity;

function origin(name: string): { kind: string; namespace: string; name: string } {
  return { kind: 'TrafficTarget', namespace: 'shop', name };
}

function match(conditions: Partial<HttpMatch>): HttpMatch {
  return { name: 'm', origin: { kind: 'HTTPRouteGroup', namespace: 'shop', name: 'g' }, ...conditions };
}

function policy(rules: readonly AccessRule[], mode: InboundPolicy['mode'] = 'enforce'): InboundPolicy {
  const ports = [8080, 9090].map((port) => ({ port, protocol: 'http' as const, services: ['shop/store'] }));
  return {
    identity: 'spiffe://cluster.local/ns/shop/sa/store' as ServiceIdentity,
    mode,
    modeFrom: 'mesh',
    ports,
    rules,
  };
}

function request(method: string, path: string, headers: Record<string, string[]> = {}): HttpRequest {
  return { method, path, authority: 'store.shop:80', header: (name) => headers[name] ?? [] };
}

describe('decideInbound', () => {
  const books: AccessRule = {
    origin: origin('books'),
    sources: [buyer],
    http: [match({ path: '/books', methods: ['GET'] })],
  };
  const get = request('GET', '/books?id=1');

  it('says why it refuses', () => {
    const call = { source: buyer, port: 8080, request: get };
    assert.deepEqual(decideInbound(policy([]), call), { allowed: false, reason: 'NoTarget' });
    assert.deepEqual(decideInbound(policy([books]), { ...call, source: thief }).reason, 'SourceNotAllowed');
    assert.deepEqual(
      decideInbound(policy([books]), { ...call, request: request('POST', '/books') }).reason,
      'RequestNotAllowed',
    );
    assert.deepEqual(decideInbound(policy([books]), { port: 8080, request: get }).reason, 'PlaintextRefused');
    assert.deepEqual(decideInbound(policy([books]), call), { allowed: true, rule: origin('books') });
  });

  it('takes no raw TCP for a rule with HTTP conditions, and no port that no Service leads to', () => {
    assert.equal(decideInbound(policy([books]), { source: buyer, port: 8080 }).reason, 'RequestNotAllowed');
    const open: AccessRule = { origin: origin('open'), sources: [buyer] };
    assert.equal(decideInbound(policy([open]), { source: buyer, port: 7000 }).allowed, false);
    assert.equal(decideInbound(policy([open]), { source: buyer, port: 9090 }).allowed, true);
  });

  it('keeps port and HTTP conditions of one rule together', () => {
    const metrics: AccessRule = {
      origin: origin('a'),
      sources: [buyer],
      ports: [8080],
      http: [match({ path: '/metrics' })],
    };
    const api: AccessRule = { origin: origin('b'), sources: [buyer], ports: [9090], http: [match({ path: '/api' })] };
    const both = policy([metrics, api]);
    assert.equal(decideInbound(both, { source: buyer, port: 8080, request: request('GET', '/api') }).allowed, false);
    assert.equal(decideInbound(both, { source: buyer, port: 9090, request: request('GET', '/api') }).allowed, true);
  });

  it('lets all pass in permissive and shadow mode, and still says what a rule would', () => {
    for (const mode of ['permissive', 'shadow'] as const) {
      assert.deepEqual(decideInbound(policy([books], mode), { source: thief, port: 8080, request: get }), {
        allowed: true,
        reason: 'SourceNotAllowed',
      });
      assert.deepEqual(decideInbound(policy([], mode), { port: 8080 }), { allowed: true, reason: 'PlaintextRefused' });
    }
  });

  it('grants nothing by a shadow rule, and reports it', () => {
    const rehearsal = policy([{ ...books, shadow: true }]);
    const verdict = decideInbound(rehearsal, { source: buyer, port: 8080, request: get });
    assert.deepEqual(verdict, { allowed: false, reason: 'NoTarget', shadowRules: [origin('books')] });
  });

  it('matches a header line by line, in whole, and the authority as host', () => {
    const rule = (name: string, value: string): InboundPolicy =>
      policy([{ origin: origin('h'), sources: [buyer], http: [match({ headers: [{ name, value }] })] }]);
    const call = { source: buyer, port: 8080, request: request('GET', '/', { 'x-a': ['1', '2'] }) };
    assert.equal(decideInbound(rule('x-a', '1'), call).allowed, true);
    assert.equal(decideInbound(rule('x-a', '1, 2'), call).allowed, false);
    assert.equal(decideInbound(rule('x-b', '.*'), call).allowed, false);
    assert.equal(decideInbound(rule('host', 'store[.]shop:80'), call).allowed, true);
  });

  it('holds nothing for a pattern that is not RE2, or too large', () => {
    for (const path of ['(', '(?=a).*', '(?:a{1000}){1000}', '(?:[a-z]{100}){60}']) {
      const broken = policy([{ origin: origin('x'), sources: [buyer], http: [match({ path })] }]);
      assert.equal(decideInbound(broken, { source: buyer, port: 8080, request: get }).allowed, false, path);
    }
  });
});

describe('decideOutbound', () => {
  const backend = (service: string, weight: number, more: Partial<WeightedBackend> = {}): WeightedBackend => ({
    service,
    weight,
    port: 80,
    endpoints: `shop/${service}:80`,
    ...more,
  });
  const service = (...routes: OutboundRoute[]): OutboundService => ({
    key: 'shop/store:80',
    namespace: 'shop',
    name: 'store',
    port: 80,
    protocol: 'http',
    addresses: [],
    headless: false,
    routes,
  });

  it('gives exact shares, without the excluded and the weightless', () => {
    const backends = [
      backend('v1', 1),
      backend('gone', 5, { excluded: 'BackendNotFound' }),
      backend('v2', 2),
      backend('v3', 0),
    ];
    const decision = decideOutbound(service({ backends }));
    assert.equal(decision.kind, 'route');
    assert.deepEqual(decision.kind === 'route' && decision.backends.map((b) => [b.backend.service, b.share]), [
      ['v1', 1 / 3],
      ['v2', 2 / 3],
    ]);
  });

  it('is unavailable when nothing is left', () => {
    assert.equal(decideOutbound(service({ backends: [] })).kind, 'unavailable');
    assert.equal(decideOutbound(service({ backends: [backend('v1', 0)] })).kind, 'unavailable');
  });

  it('takes the first route that matches; TCP takes the last', () => {
    const beta = service(
      { match: [match({ headers: [{ name: 'x-beta', value: 'yes' }] })], backends: [backend('beta', 1)] },
      { backends: [backend('root', 1)] },
    );
    const to = (decision: ReturnType<typeof decideOutbound>): string | undefined => pickBackend(decision, 0.5)?.service;
    assert.equal(to(decideOutbound(beta, request('GET', '/', { 'x-beta': ['yes'] }))), 'beta');
    assert.equal(to(decideOutbound(beta, request('GET', '/'))), 'root');
    assert.equal(to(decideOutbound(beta)), 'root');
  });

  it('picks in proportion', () => {
    const decision = decideOutbound(service({ backends: [backend('v1', 9), backend('v2', 1)] }));
    assert.equal(pickBackend(decision, 0)?.service, 'v1');
    assert.equal(pickBackend(decision, 0.899)?.service, 'v1');
    assert.equal(pickBackend(decision, 0.901)?.service, 'v2');
    assert.equal(pickBackend(decision, 0.9999999999)?.service, 'v2');
    assert.equal(pickBackend({ kind: 'unavailable' }, 0.5), undefined);
  });
});
