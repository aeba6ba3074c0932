import assert from 'node:assert/strict';
import type { Endpoint, EndpointSet } from '../policy/endpoints.ts';
import { createBalancer } from './endpoints-balancer.ts';

const set = (...names: string[]): EndpointSet => ({
  key: 'k',
  endpoints: names.map((name): Endpoint => ({
    address: { kind: 'pipe', path: `/${name}` },
    pod: name,
    identity: '',
    meshed: false,
    ready: !name.startsWith('-'),
    port: 1,
  })),
});

describe('balancer', () => {
  it('takes ready endpoints in turn', () => {
    const balancer = createBalancer(() => 0);
    const endpoints = set('a', '-b', 'c');
    const picked = Array.from({ length: 4 }, () => {
      const lease = balancer.pick(endpoints);
      lease?.done();
      return lease?.endpoint.pod;
    });
    assert.deepEqual(picked, ['a', 'c', 'a', 'c']);
    assert.equal(balancer.pick(set('-x')), undefined);
  });

  it('prefers the one with fewer requests under way', () => {
    const balancer = createBalancer(() => 0);
    const endpoints = set('a', 'b');
    const first = balancer.pick(endpoints);
    balancer.pick(endpoints)?.done();
    assert.equal(balancer.pick(endpoints)?.endpoint.pod, 'b');
    first?.done();
    assert.equal(balancer.pick(endpoints)?.endpoint.pod, 'a');
  });

  it('leaves out a failed endpoint for a time that doubles, and never all of them', () => {
    let now = 0;
    const balancer = createBalancer(() => now);
    const endpoints = set('a', 'b');
    const fail = (pod: string): void => {
      for (;;) {
        const lease = balancer.pick(endpoints);
        lease?.done();
        if (lease?.endpoint.pod === pod) return lease.failed();
      }
    };
    const next = (): string | undefined => {
      const lease = balancer.pick(endpoints);
      lease?.done();
      return lease?.endpoint.pod;
    };
    fail('a');
    assert.deepEqual([next(), next()], ['b', 'b']);
    assert.equal(balancer.ejected, 1);
    now = 500;
    assert.equal(new Set([next(), next()]).size, 2);
    fail('a');
    now = 1_400;
    assert.deepEqual([next(), next()], ['b', 'b']);
    fail('b');
    assert.notEqual(next(), undefined);
  });
});
