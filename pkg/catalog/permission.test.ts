import assert from 'node:assert/strict';
import { pod, service, snapshotOf } from '../../test/support/snapshot.ts';
import type { ServiceIdentity } from '../policy/identity.ts';
import type { PolicyMode } from '../policy/inbound.ts';
import { buildMesh } from './build-mesh.ts';

const guest = 'spiffe://cluster.local/ns/shop/sa/guest' as ServiceIdentity;

/** What a client that no rule names may reach: a Service with a workload, and one with none. */
function reachIn(mode: PolicyMode): string[] {
  const base = snapshotOf({
    services: [service('shop', 'cart'), service('shop', 'empty')],
    pods: [pod('shop', 'cart'), pod('shop', 'guest')],
  });
  const { value } = buildMesh({ ...base, config: { ...base.config, mode } });
  return [...value.policyOf(guest).reach.outbound.values()].map(({ name }) => name).sort();
}

describe('who may reach a Service', () => {
  it('is everybody in the modes that let pass, and nobody without a rule in one that is not known', () => {
    for (const mode of ['permissive', 'shadow'] as const) assert.deepEqual(reachIn(mode), ['cart', 'empty']);
    const unknown = 'Enforce' as PolicyMode;
    for (const mode of ['enforce', unknown] as const) assert.deepEqual(reachIn(mode), []);
  });
});
