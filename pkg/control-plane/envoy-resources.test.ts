import assert from 'node:assert/strict';
import type { ServiceIdentity } from '../policy/identity.ts';
import type { ProxyPolicy } from '../policy/proxy-policy.ts';
import type { XdsClient } from '../xds/resources.ts';
import { envoyTypes } from '../xds/type-traits.ts';
import { createEnvoyResources, type EnvoyResources } from './envoy-resources.ts';

const id = (name: string): ServiceIdentity => `spiffe://cluster.local/ns/shop/sa/${name}` as ServiceIdentity;
const clientOf = (pod: string): XdsClient => ({ identity: id('db'), pod, nodeId: pod, userAgent: 'envoy' });

/** A database that these accounts may connect to. */
function policyOf(...sources: readonly string[]): ProxyPolicy {
  const origin = { kind: 'TrafficTarget', namespace: 'shop', name: 'to-db' } as const;
  return {
    identity: id('db'),
    settings: { trustDomain: 'cluster.local', egress: 'deny', tracing: { sampling: 1 } },
    inbound: {
      identity: id('db'),
      mode: 'enforce',
      modeFrom: 'default',
      ports: [{ port: 5432, protocol: 'tcp', services: ['shop/db'] }],
      rules: [{ origin, sources: sources.map(id) }],
    },
    reach: { outbound: new Map(), endpoints: new Map() },
    directory: new Map(),
  };
}

describe('what Envoys are given', () => {
  let envoy: EnvoyResources;
  beforeEach(() => {
    const encode = (_: string, message: object): Buffer => Buffer.from(JSON.stringify(message));
    envoy = createEnvoyResources({ loadEncoder: () => ({ encode }), inboundAddress: () => undefined });
  });

  const chainOf = (client: XdsClient, policy: ProxyPolicy): string | undefined => {
    const view = envoy.view(client, policy, envoyTypes.listener);
    const text = JSON.stringify([...(view?.resources.values() ?? [])].map(({ any }) => String(any)));
    return /5432\/tls\/[0-9a-f]+/.exec(text)?.[0];
  };

  it('replaces the chain of each pod whose connections a revoked grant has opened, whoever is asked for first', () => {
    const [young, old] = [clientOf('shop/db-0'), clientOf('shop/db-1')];
    const [one, both, back] = [policyOf('a'), policyOf('a', 'b'), policyOf('a')];
    const oldChain = chainOf(old, one);
    assert.equal(chainOf(old, both), oldChain);
    const youngChain = chainOf(young, both);
    assert.notEqual(youngChain, oldChain);
    assert.notEqual(chainOf(old, back), oldChain);
    assert.notEqual(chainOf(young, back), youngChain);
    // One that has just come shares neither history.
    assert.equal(chainOf(clientOf('shop/db-2'), back), oldChain);
  });

  it('is the same object for as long as the policy is, and for pods of one history', () => {
    const [one, other] = [clientOf('shop/db-0'), clientOf('shop/db-1')];
    for (const policy of [policyOf('a'), policyOf('a', 'b'), policyOf('a')]) {
      const state = envoy.stateOf(one, policy);
      assert.equal(envoy.stateOf(one, policy), state);
      assert.equal(envoy.stateOf(other, policy), state);
    }
  });
});
