import assert from 'node:assert/strict';
import type { EndpointSet } from '../policy/endpoints.ts';
import type { ServiceIdentity } from '../policy/identity.ts';
import type { AccessRule, AppProtocol, InboundPolicy, PolicyMode } from '../policy/inbound.ts';
import type { OutboundService, WeightedBackend } from '../policy/outbound.ts';
import type { DirectoryEntry, MeshSettings, ProxyPolicy } from '../policy/proxy-policy.ts';
import type { Listener } from './envoy-listener-types.ts';
import { transparent } from './interception.ts';
import { toXdsResources, type XdsResources } from './to-xds-resources.ts';

const id = (name: string): ServiceIdentity => `spiffe://cluster.local/ns/shop/sa/${name}` as ServiceIdentity;
const settings: MeshSettings = { trustDomain: 'cluster.local', egress: 'deny', tracing: { sampling: 1 } };

function service(name: string, protocol: AppProtocol, weights: readonly number[] = [1]): OutboundService {
  const key = `shop/${name}:80`;
  const backends = weights.map((weight, i): WeightedBackend => ({
    weight,
    service: `${name}-v${i}`,
    port: 80,
    endpoints: `shop/${name}-v${i}:80`,
  }));
  return {
    key,
    namespace: 'shop',
    name,
    port: 80,
    protocol,
    addresses: [`10.96.0.${name.length}`],
    headless: false,
    routes: [{ backends }],
  };
}

function endpoints(key: string, ...accounts: readonly string[]): EndpointSet {
  return {
    key,
    endpoints: accounts.map((account, i) => ({
      address: { kind: 'ip', ip: `10.0.0.${i + 1}`, port: 8080 },
      pod: `shop/${account}-${i}`,
      identity: account === '' ? '' : id(account),
      meshed: account !== '',
      ready: true,
      port: 8080,
    })),
  };
}

function rule(name: string, sources: readonly string[], more: Partial<AccessRule> = {}): AccessRule {
  return { origin: { kind: 'TrafficTarget', namespace: 'shop', name }, sources: sources.map(id), ...more };
}

function inbound(rules: readonly AccessRule[], protocol: AppProtocol = 'http'): InboundPolicy {
  return {
    identity: id('cart'),
    mode: 'enforce',
    modeFrom: 'default',
    ports: [{ port: 8080, protocol, services: ['shop/cart'] }],
    rules,
  };
}

const nothingIn = inbound([]);
const noDirectory: ReadonlyMap<string, DirectoryEntry> = new Map();

function policy(parts: Partial<ProxyPolicy> = {}): ProxyPolicy {
  return {
    identity: id('web'),
    settings,
    inbound: nothingIn,
    reach: { outbound: new Map(), endpoints: new Map() },
    directory: noDirectory,
    ...parts,
  };
}

function reach(services: readonly OutboundService[], sets: readonly EndpointSet[]): ProxyPolicy['reach'] {
  return {
    outbound: new Map(services.map((each) => [each.key, each])),
    endpoints: new Map(sets.map((set) => [set.key, set])),
  };
}

describe('toXdsResources', () => {
  it('gives proxies that share a fragment the very same resources', () => {
    const [cart, pay] = [service('cart', 'http'), service('pay', 'tcp')];
    const sets = [endpoints('shop/cart-v0:80', 'cart'), endpoints('shop/pay-v0:80', 'pay')];
    const one = toXdsResources(policy({ reach: reach([cart, pay], sets) }), transparent);
    const other = toXdsResources(policy({ identity: id('other'), reach: reach([pay, cart], sets) }), transparent);
    for (const kind of ['listeners', 'routes', 'scopes', 'clusters', 'endpoints'] as const) {
      for (const [name, resource] of one[kind]) {
        if (name !== 'inbound') assert.equal(other[kind].get(name), resource, `${kind} ${name}`);
      }
    }
  });

  it('changes endpoints alone when a pod comes', () => {
    const cart = service('cart', 'http');
    const before = toXdsResources(
      policy({ reach: reach([cart], [endpoints('shop/cart-v0:80', 'cart')]) }),
      transparent,
    );
    const after = toXdsResources(
      policy({ reach: reach([cart], [endpoints('shop/cart-v0:80', 'cart', 'cart')]) }),
      transparent,
    );
    assert.deepEqual([...after.clusters], [...before.clusters]);
    assert.deepEqual([...after.listeners], [...before.listeners]);
    assert.deepEqual([...after.routes], [...before.routes]);
    assert.deepEqual([...after.scopes], [...before.scopes]);
    assert.notDeepEqual([...after.endpoints], [...before.endpoints]);
  });

  it('lets each endpoint prove its own account, and speaks plaintext to one without sidecar', () => {
    const sets = [endpoints('shop/cart-v0:80', 'blue', 'green', '')];
    const { clusters } = toXdsResources(policy({ reach: reach([service('cart', 'http')], sets) }), transparent);
    const matches = clusters.get('shop/cart-v0:80')?.transport_socket_matches ?? [];
    assert.deepEqual(
      matches.map(({ name, match }) => [name, match]),
      [
        [id('blue'), { peer: id('blue') }],
        [id('green'), { peer: id('green') }],
        ['plaintext', {}],
      ],
    );
  });

  it('answers 503 where no weight is left, and keeps sums that Envoy accepts', () => {
    const huge = 2 ** 32;
    const services = [
      { ...service('none', 'http', [0, 0]), addresses: ['10.96.0.1'] },
      { ...service('huge', 'http', [huge, huge * 3]), addresses: ['10.96.0.2'] },
    ];
    const { scopes } = toXdsResources(policy({ reach: reach(services, []) }), transparent);
    const routeOf = (address: string) => scopes.get(`${address}:80`)?.route_configuration.virtual_hosts[0]?.routes?.[0];
    assert.equal(routeOf('10.96.0.1')?.direct_response?.status, 503);
    const weights = routeOf('10.96.0.2')?.route?.weighted_clusters?.clusters.map(({ weight }) => weight) ?? [];
    const [one = 0, three = 0] = weights;
    assert.ok(one + three < huge && one > 0);
    assert.ok(Math.abs(three / one - 3) < 1e-6);
  });

  it('leaves the listener of a TCP port alone when a source is added, and replaces its chain when one goes', () => {
    const before = policy({ inbound: inbound([rule('a', ['one', 'two'])], 'tcp') });
    const first = toXdsResources(before, transparent);
    const added = toXdsResources(
      policy({ inbound: inbound([rule('a', ['one', 'two', 'three'])], 'tcp') }),
      transparent,
      first,
    );
    assert.deepEqual(added.listeners.get('inbound'), first.listeners.get('inbound'));
    assert.deepEqual(added.peers.get('peers/8080'), [id('one'), id('three'), id('two')]);
    const gone = toXdsResources(policy({ inbound: inbound([rule('a', ['one', 'three'])], 'tcp') }), transparent, added);
    assert.notDeepEqual(gone.listeners.get('inbound'), first.listeners.get('inbound'));
    const back = toXdsResources(
      policy({ inbound: inbound([rule('a', ['one', 'three', 'two'])], 'tcp') }),
      transparent,
      gone,
    );
    assert.deepEqual(back.listeners.get('inbound'), gone.listeners.get('inbound'));
  });

  /** The chains of the TCP port after each of these lists of sources, one following the other. */
  function chainsOver(...rounds: readonly (readonly string[])[]): (string | undefined)[] {
    let last: XdsResources | undefined;
    return rounds.map((sources) => {
      const rules = sources.length === 0 ? [] : [rule('a', sources)];
      last = toXdsResources(policy({ inbound: inbound(rules, 'tcp') }), transparent, last);
      return last.listeners
        .get('inbound')
        ?.filter_chains?.map(({ name }) => name)
        .filter((name) => name?.startsWith('8080/'))
        .join();
    });
  }

  it('replaces the chain of a TCP port when a source goes that came after it', () => {
    const [first, grown, shrunk, again, last] = chainsOver(['a'], ['a', 'b'], ['a'], ['a', 'b'], ['a']);
    assert.equal(grown, first);
    assert.equal(again, shrunk);
    // No name comes back: an Envoy that was not told of what lies between would keep the chain.
    assert.equal(new Set([first, shrunk, last]).size, 3);
  });

  it('never gives a name back to a chain whose sources went, whatever lies between', () => {
    const [first, , closed, again] = chainsOver(['a'], ['a', 'b'], [], ['a']);
    assert.equal(closed, '8080/tls');
    assert.notEqual(again, first);
    const swapped = chainsOver(['a', 'b'], ['a', 'c'], ['a', 'b'], ['a', 'c']);
    assert.equal(new Set(swapped).size, 4);
    const steady = chainsOver([], ['a'], ['a'], [], [], ['a']);
    assert.deepEqual(steady.slice(1, 3), chainsOver(['a'], ['a']));
    assert.notEqual(steady[5], steady[1]);
  });

  it('remembers who came in while the port was open to all', () => {
    const at = (mode: PolicyMode, sources: readonly string[], last?: XdsResources): XdsResources =>
      toXdsResources(policy({ inbound: { ...inbound([rule('a', sources)], 'tcp'), mode } }), transparent, last);
    const before = at('enforce', ['a', 'b']);
    const after = at('enforce', ['a'], at('permissive', ['a', 'b'], before));
    assert.notDeepEqual(after.listeners.get('inbound'), at('enforce', ['a', 'b']).listeners.get('inbound'));
    const kept = at('enforce', ['a', 'b'], at('shadow', ['a', 'b'], before));
    assert.deepEqual(kept.listeners.get('inbound'), before.listeners.get('inbound'));
  });

  it('is closed in a mode that it does not know, TCP as HTTP', () => {
    const unknown = 'Enforce' as PolicyMode;
    const listenerIn = (mode: PolicyMode): Listener | undefined => {
      const resources = toXdsResources(policy({ inbound: { ...inbound([], 'tcp'), mode } }), transparent);
      return resources.listeners.get('inbound');
    };
    assert.deepEqual(listenerIn(unknown), listenerIn('enforce'));
  });

  it('never opens a TCP port by a rule about requests', () => {
    const http = [{ name: 'm', origin: { kind: 'HTTPRouteGroup', namespace: 'shop', name: 'g' } }];
    const { peers } = toXdsResources(policy({ inbound: inbound([rule('a', ['one'], { http })], 'tcp') }), transparent);
    assert.deepEqual(peers.get('peers/8080'), []);
  });

  it('keeps apart two rules of one object', () => {
    const rules = [rule('a', ['one'], { ports: [8080] }), rule('a', ['two'])];
    const { routes } = toXdsResources(policy({ inbound: inbound(rules) }), transparent);
    const filter = routes.get('inbound/8080')?.typed_per_filter_config?.['tulle.rbac.access'];
    assert.deepEqual(Object.keys(filter?.rbac.rules?.policies ?? {}), ['shop/a', 'shop/a#2']);
  });
});
