import assert from 'node:assert/strict';
import { toServiceIdentity, type TrustDomain } from '../../policy/identity.ts';
import { toRefusals } from './proxy-refusals.ts';

const identity = toServiceIdentity('x' as TrustDomain, { namespace: 'shop', name: 'web' });
const client = { identity, nodeId: 'n', userAgent: 'envoy/1.40.0', metadata: {} };
const typeUrl = 'type.googleapis.com/envoy.config.listener.v3.Listener';
const status = (pod: string | undefined, nack?: string) => ({
  client: { ...client, ...(pod === undefined ? {} : { pod }) },
  protocol: 'delta' as const,
  connectedSince: 0,
  types: [{ typeUrl, synced: nack === undefined, ...(nack === undefined ? {} : { nack }) }],
});

describe('what sidecars refuse', () => {
  it('is a problem of their pods, with their own words', () => {
    const problems = toRefusals([
      status('shop/web-0', 'bad regex'),
      status('shop/web-1'),
      status(undefined, 'x'),
    ] as never);

    assert.equal(problems.length, 1);
    assert.deepEqual(problems[0]?.resource, { apiVersion: 'v1', kind: 'Pod', namespace: 'shop', name: 'web-0' });
    assert.equal(problems[0]?.reason, 'ConfigRefused');
    assert.match(problems[0]?.message ?? '', /refused the Listener .*: bad regex$/);
  });

  it('is cut to a length', () => {
    const [problem] = toRefusals([status('shop/web-0', 'x'.repeat(10_000))] as never);
    assert.ok((problem?.message.length ?? 0) < 600);
  });
});
