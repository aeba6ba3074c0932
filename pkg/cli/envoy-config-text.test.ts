import assert from 'node:assert/strict';
import { readFileSync } from 'node:fs';
import { join } from 'node:path';
import { type InterceptionMode, transparent } from '../envoy-config/interception.ts';
import { toXdsResources } from '../envoy-config/to-xds-resources.ts';
import type { EndpointSet } from '../policy/endpoints.ts';
import type { ServiceIdentity } from '../policy/identity.ts';
import type { InboundPolicy } from '../policy/inbound.ts';
import type { OutboundRoute, OutboundService } from '../policy/outbound.ts';
import type { ProxyPolicy } from '../policy/proxy-policy.ts';
import { describeEnvoy } from './envoy-config-text.ts';

const id = (name: string): ServiceIdentity => `spiffe://cluster.local/ns/shop/sa/${name}` as ServiceIdentity;

/** What Envoy would say of a configuration, as far as it is read: the shapes are those of the fixture. */
function dumpOf(policy: ProxyPolicy, mode: InterceptionMode): unknown {
  const { listeners, routes, scopes, refusals, clusters, endpoints, peers } = toXdsResources(policy, mode);
  const secrets = [...peers].map(([name, exact]) => ({
    name,
    secret: {
      validation_context: { match_typed_subject_alt_names: exact.map((each) => ({ matcher: { exact: each } })) },
    },
  }));
  return {
    configs: [
      { dynamic_active_clusters: [...clusters.values()].map((cluster) => ({ cluster })) },
      { dynamic_endpoint_configs: [...endpoints.values()].map((each) => ({ endpoint_config: each })) },
      { dynamic_listeners: [...listeners.values()].map((listener) => ({ active_state: { listener } })) },
      {
        dynamic_scoped_route_configs: [
          { name: 'outbound', scoped_route_configs: [...new Map([...refusals, ...scopes]).values()] },
        ],
      },
      { dynamic_route_configs: [...routes.values()].map((each) => ({ route_config: each })) },
      { dynamic_active_secrets: secrets },
    ],
  };
}

const nobodyMay: InboundPolicy = { identity: id('web'), mode: 'enforce', modeFrom: 'default', ports: [], rules: [] };

function policyOf(parts: Partial<ProxyPolicy>): ProxyPolicy {
  return {
    identity: id('web'),
    settings: { trustDomain: 'cluster.local', egress: 'deny', tracing: { sampling: 1 } },
    inbound: nobodyMay,
    reach: { outbound: new Map(), endpoints: new Map() },
    directory: new Map(),
    ...parts,
  };
}

const backend = (service: string, weight: number): OutboundRoute['backends'][number] => ({
  weight,
  service,
  port: 80,
  endpoints: `shop/${service}:80~0123abcd`,
});

function reach(protocol: OutboundService['protocol'], routes: readonly OutboundRoute[]): ProxyPolicy['reach'] {
  const key = 'shop/cart:80';
  const [namespace, name] = ['shop', 'cart'];
  const service: OutboundService = {
    ...{ key, namespace, name, port: 80, protocol, headless: false, routes },
    addresses: ['10.96.0.1', 'fd00::1'],
  };
  const sets = routes
    .flatMap(({ backends }) => backends)
    .map(({ endpoints }): [string, EndpointSet] => [
      endpoints,
      {
        key: endpoints,
        endpoints: [
          {
            address: { kind: 'ip', ip: '10.0.0.1', port: 8080 },
            ...{ pod: 'shop/cart-1', identity: id('cart'), meshed: true, ready: true, port: 8080 },
          },
        ],
      },
    ]);
  return { outbound: new Map([[key, service]]), endpoints: new Map(sets) };
}

const origin = { kind: 'TrafficSplit', namespace: 'shop', name: 'canary' } as const;

/** Without who it is. */
const linesOf = (parts: Partial<ProxyPolicy>, mode: InterceptionMode = transparent): readonly string[] =>
  describeEnvoy(dumpOf(policyOf(parts), mode)).slice(1);

describe('what the config dump of an Envoy is told as', () => {
  it('names who it is, who may call it, and what it may call, of a dump of Envoy itself', () => {
    const dump: unknown = JSON.parse(readFileSync(join(import.meta.dirname, 'envoy-config-dump.fixture.json'), 'utf8'));
    assert.deepEqual(describeEnvoy(dump), [
      'is spiffe://cluster.local/ns/bookstore/sa/bookstore-v1, by a certificate until 2026-11-22T20:56:44.000Z',
      'port 14001 (http), enforced',
      '  bookstore/bookbuyer-to-bookstore-v1 lets in bookbuyer/bookbuyer: /books-bought GET user-agent: .*-http-client/.* client-app: bookbuyer, /buy-a-book/.* GET',
      'may call bookwarehouse/bookwarehouse:14001 (http) at 10.96.42.219:14001',
      'may not call bookstore/bookstore-v1:14001, bookstore/bookstore-v2:14001, bookstore/bookstore:14001 (http)',
    ]);
  });

  it('says of HTTP by which addresses it is called', () => {
    const routes = [{ backends: [{ ...backend('cart', 1), endpoints: 'shop/cart:80' }] }];
    assert.deepEqual(linesOf({ reach: reach('http', routes) }), [
      'may call shop/cart:80 (http) at 10.96.0.1:80, [fd00::1]:80',
    ]);
  });

  it('gives the shares of a split, and where what it matches goes', () => {
    const match = [{ path: '/beta/.*', methods: ['GET'], headers: [{ name: 'user', value: 'a.*' }] }];
    const routes = [
      { match, origin, backends: [backend('cart-v2', 1)] },
      { origin, backends: [backend('cart-v1', 90), backend('cart-v2', 10)] },
    ];
    assert.deepEqual(linesOf({ reach: reach('http', routes as unknown as readonly OutboundRoute[]) }), [
      'may call shop/cart:80 (http) at 10.96.0.1:80, [fd00::1]:80, shared by TrafficSplit shop/canary: shop/cart-v1:80 90, shop/cart-v2:80 10',
      '  GET /beta/.* user: a.*: shop/cart-v2:80',
    ]);
  });

  it('knows the services of an explicit proxy, which has them by name', () => {
    const mode = { ...transparent, outbound: { kind: 'proxy' as const, port: 1, tcpPorts: new Map<string, number>() } };
    const routes = [{ origin, backends: [backend('cart-v1', 90), backend('cart-v2', 10)] }];
    assert.deepEqual(linesOf({ reach: reach('http', routes) }, mode), [
      'may call shop/cart:80 (http), shared: shop/cart-v1:80 90, shop/cart-v2:80 10',
    ]);
  });

  it('says when a split leaves nobody', () => {
    const [line] = linesOf({ reach: reach('http', [{ origin, backends: [backend('cart-v1', 0)] }]) });
    assert.match(line ?? '', /shared by TrafficSplit shop\/canary: no backend with a weight is left$/);
  });

  it('gives address and shares of TCP', () => {
    const routes = [{ origin, backends: [backend('cart-v1', 90), backend('cart-v2', 10)] }];
    assert.deepEqual(linesOf({ reach: reach('tcp', routes) }), [
      'may call shop/cart:80 (tcp) at 10.96.0.1:80, [fd00::1]:80, shared: shop/cart-v1:80 90, shop/cart-v2:80 10',
    ]);
  });

  it('says who may connect to TCP ports', () => {
    const rule = { origin: { kind: 'TrafficTarget', namespace: 'shop', name: 't' }, sources: [id('cart')], ports: [1] };
    const ports = [1, 2].map((port) => ({ port, protocol: 'tcp', services: ['shop/web'] }));
    const inbound = { ...nobodyMay, ports, rules: [rule] } as unknown as InboundPolicy;
    const nothing = 'may call nothing in the mesh';
    assert.deepEqual(linesOf({ inbound }), [
      'port 1 (tcp), enforced',
      '  lets in shop/cart',
      'port 2 (tcp), enforced',
      '  no rule lets anybody in',
      nothing,
    ]);
    assert.deepEqual(linesOf({ inbound: { ...inbound, mode: 'permissive' } }), [
      'port 1 (tcp), not enforced: anybody is let in',
      'port 2 (tcp), not enforced: anybody is let in',
      nothing,
    ]);
  });

  it('tells one that was given nothing yet from one that may call nothing', () => {
    assert.deepEqual(describeEnvoy({ configs: [] }), ['has no certificate yet', 'no policy yet: it denies everything']);
    assert.deepEqual(linesOf({}), ['may call nothing in the mesh']);
  });
});
