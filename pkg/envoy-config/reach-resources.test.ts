import assert from 'node:assert/strict';
import fc from 'fast-check';
import type { EndpointSet } from '../policy/endpoints.ts';
import type { ServiceIdentity } from '../policy/identity.ts';
import type { OutboundService } from '../policy/outbound.ts';
import type { Reach } from '../policy/proxy-policy.ts';
import { transparent } from './interception.ts';
import { toReachResources } from './reach-resources.ts';

const names = ['a', 'b', 'c', 'd'];
const keyOf = (name: string): string => `n/${name}:80`;

const sets = fc
  .record({ name: fc.constantFrom(...names), pods: fc.subarray([1, 2, 3]), meshed: fc.boolean() })
  .map(({ name, pods, meshed }): EndpointSet => {
    const endpoints = pods.map((i) => {
      const ip = `10.0.0.${i}`;
      const identity = meshed ? (`spiffe://x/ns/n/sa/${i}` as ServiceIdentity) : ('' as const);
      return {
        address: { kind: 'ip' as const, ip, port: 80 },
        pod: `n/${i}`,
        identity,
        meshed,
        ready: true,
        ip,
        port: 80,
      };
    });
    return { key: keyOf(name), endpoints };
  });

const services = fc
  .record({
    name: fc.constantFrom(...names),
    protocol: fc.constantFrom('http' as const, 'tcp' as const),
    headless: fc.boolean(),
    address: fc.constantFrom('10.1.0.1', '10.1.0.2', '10.0.0.1'),
    backends: fc.subarray(names),
  })
  .map(({ name, protocol, headless, address, backends }): OutboundService => {
    const toBackend = (each: string) => ({ weight: 1, service: each, port: 80, endpoints: keyOf(each) });
    const split = backends.length > 0 ? [{ backends: backends.map(toBackend) }] : [];
    const addresses = headless ? [] : [address];
    const routes = [...split, { backends: [toBackend(name)] }];
    const base = { key: keyOf(name), namespace: 'n', name, port: 80 };
    return { ...base, protocol, headless, addresses, routes };
  });

function toReach(outbound: readonly OutboundService[], endpoints: readonly EndpointSet[]): Reach {
  return {
    outbound: new Map(outbound.map((service) => [service.key, service])),
    endpoints: new Map(endpoints.map((set) => [set.key, set])),
  };
}

/** With the order of everything: it is part of what is sent. */
function describeReach(reach: Reach, outbound: Parameters<typeof toReachResources>[1]): unknown {
  const { scopes, endpoints, ...rest } = toReachResources(reach, outbound);
  return { ...rest, scopes: [...scopes], endpoints: [...endpoints] };
}

/** The same reach, of which nothing has been seen before. */
function strange({ outbound, endpoints }: Reach): Reach {
  return structuredClone({ outbound, endpoints });
}

describe('what a reach takes', () => {
  it('is the same whatever was asked for before', () => {
    const edits = fc.record({ place: fc.nat(3), service: services, set: sets, kind: fc.nat(2) });
    fc.assert(
      fc.property(fc.array(services, { maxLength: 4 }), fc.array(sets), fc.array(edits), (first, given, list) => {
        let [outbound, endpoints] = [first, given];
        const reaches = [toReach(outbound, endpoints)];
        for (const { place, service, set, kind } of list) {
          if (kind === 0) outbound = outbound.toSpliced(place, 0, service);
          else if (kind === 1) outbound = outbound.toSpliced(place, 1);
          else endpoints = [...endpoints.filter(({ key }) => key !== set.key), set];
          reaches.push(toReach(outbound, endpoints));
        }
        const proxy = { kind: 'proxy' as const, port: 1, tcpPorts: new Map() };
        for (const way of [transparent.outbound, proxy]) {
          const followed = reaches.map((reach) => describeReach(reach, way));
          const anew = reaches.map((reach) => describeReach(strange(reach), way));
          assert.deepEqual(followed, anew);
        }
      }),
    );
  });

  it('stays the same object where endpoints alone changed, but for these', () => {
    const [service] = fc.sample(
      services.filter(({ protocol, headless }) => protocol === 'http' && !headless),
      1,
    );
    const [set] = fc.sample(sets, 1);
    assert.ok(service && set);
    const key = keyOf(service.name);
    const before = toReachResources(toReach([service], [{ ...set, key }]), transparent.outbound);
    const fewer = { key, endpoints: [] };
    const after = toReachResources(toReach([service], [fewer]), transparent.outbound);
    assert.equal(after.scopes, before.scopes);
    assert.equal(after.listeners, before.listeners);
    assert.equal(after.endpoints.get(key)?.endpoints?.length, 0);
  });

  for (const protocol of ['http', 'tcp'] as const)
    for (const [bank, trap] of [
      ['bank', 'trap'],
      ['zbank', 'atrap'],
    ] as const)
      it(`a headless ${protocol} Service does not get what is dialled at the address of another (${trap}, ${bank})`, () => {
        const address = '10.96.0.77';
        const service = (name: string, headless: boolean, as: 'http' | 'tcp'): OutboundService => ({
          key: keyOf(name),
          namespace: 'n',
          name,
          port: 80,
          protocol: as,
          addresses: headless ? [] : [address],
          headless,
          routes: [{ backends: [{ weight: 1, service: name, port: 80, endpoints: keyOf(name) }] }],
        });
        const endpoint = (ip: string) => ({
          address: { kind: 'ip' as const, ip, port: 80 },
          pod: '',
          identity: '' as const,
          meshed: false,
          ready: true,
          ip,
          port: 80,
        });
        const written = [address, '203.0.113.1', '203.0.113.2'];
        for (const own of ['http', 'tcp'] as const) {
          const two = [service(bank, false, own), service(trap, true, protocol)];
          const ordered = two.sort((a, b) => (a.key < b.key ? -1 : 1));
          const reach = toReach(ordered, [
            { key: keyOf(bank), endpoints: [] },
            { key: keyOf(trap), endpoints: written.map(endpoint) },
          ]);
          const { scopes, listeners, endpoints } = toReachResources(reach, transparent.outbound);
          const scope = scopes.get(`${address}:80`)?.route_configuration?.virtual_hosts[0]?.name;
          const chains = listeners
            .filter(({ address: at }) => at?.socket_address?.address === address)
            .map(({ filter_chains }) => filter_chains?.[0]?.name);
          // A listener takes a connection before any scope is asked.
          assert.equal(own === 'http' ? scope : chains.join(), keyOf(bank), own);
          if (own === 'http') assert.deepEqual(chains, []);
          // Each of its own addresses is a place of its own.
          const subsets = JSON.stringify([...endpoints.values()]).matchAll(/"envoy.lb":\{"pod":"([^"]*)"/g);
          assert.deepEqual([...subsets].map(([, pod]) => pod).sort(), [...written].sort());
        }
      });
});
