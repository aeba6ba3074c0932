import assert from 'node:assert/strict';
import { createPolicyStore } from './policy-store.ts';
import type { PolicyPart } from './policy-store.ts';

const inbound = { identity: 'spiffe://cluster.local/ns/a/sa/b', mode: 'enforce', modeFrom: 'x', ports: [], rules: [] };
const settings = { trustDomain: 'cluster.local', egress: 'deny', tracing: { sampling: 1 } };
const endpoint = {
  address: { kind: 'pipe', path: '/x' },
  pod: 'a/b',
  identity: inbound.identity,
  meshed: true,
  ready: true,
  port: 1,
};

const encode = (resources: Readonly<Record<string, unknown>>) =>
  Object.entries(resources).map(([name, value]) => ({ name, value: Buffer.from(JSON.stringify(value)) }));

describe('policy store', () => {
  it('is ready when everything was answered and the two single ones are there', () => {
    const store = createPolicyStore();
    for (const part of ['endpoints', 'outbound', 'directory'] as const) store.apply(part, { upserts: [], removed: [] });
    store.apply('inbound', { upserts: encode({ inbound }), removed: [] });
    assert.equal(store.ready, false);
    store.apply('settings', { upserts: encode({ mesh: settings }), removed: [] });
    assert.equal(store.ready, true);
  });

  it('applies all of a response or nothing', () => {
    const store = createPolicyStore();
    store.apply('endpoints', { upserts: encode({ a: { key: 'a', endpoints: [endpoint] } }), removed: [] });
    const bad = encode({ a: { key: 'a', endpoints: [] }, b: { key: 'b', endpoints: [{ ...endpoint, identity: '' }] } });
    assert.throws(
      () => store.apply('endpoints', { upserts: bad, removed: [] }),
      /b: endpoints\[0\]\.identity is missing or wrong/,
    );
    assert.equal(store.endpoints.get('a')?.endpoints.length, 1);
  });

  const refused: readonly (readonly [string, PolicyPart, unknown])[] = [
    ['no JSON object', 'inbound', []],
    ['an unknown mode', 'inbound', { ...inbound, mode: 'off' }],
    [
      'a rule whose HTTP matches are an empty list',
      'inbound',
      { ...inbound, rules: [{ origin: {}, sources: [], http: [] }] },
    ],
    ['a port out of range', 'inbound', { ...inbound, ports: [{ port: 0, protocol: 'http', services: [] }] }],
    ['an unknown protocol', 'inbound', { ...inbound, ports: [{ port: 1, protocol: 'udp', services: [] }] }],
    ['sampling beyond 1', 'settings', { ...settings, tracing: { sampling: 2 } }],
    ['a service under another name', 'outbound', { key: 'other' }],
  ];
  for (const [name, part, value] of refused) {
    it(`refuses ${name}`, () => {
      assert.throws(() => createPolicyStore().apply(part, { upserts: encode({ x: value }), removed: [] }), {
        name: 'PolicyRefused',
      });
    });
  }

  it('removes what is gone, and tells of changes only', () => {
    const store = createPolicyStore();
    const told: string[] = [];
    store.subscribe((part) => told.push(part));
    store.apply('endpoints', { upserts: encode({ a: { key: 'a', endpoints: [] } }), removed: [] });
    store.apply('endpoints', { upserts: [], removed: [] });
    store.apply('endpoints', { upserts: [], removed: ['a'] });
    assert.equal(store.endpoints.size, 0);
    assert.deepEqual(told, ['endpoints', 'endpoints']);
  });
});
