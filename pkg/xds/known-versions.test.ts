import assert from 'node:assert/strict';
import { decodeDeltaRequest, encodeDeltaRequest } from './discovery.ts';

const none = { typeUrl: 't', subscribe: [], unsubscribe: [], nonce: '' };

function versionsOf(count: number): ReadonlyMap<string, string> {
  return new Map(Array.from({ length: count }, (_, i) => [`shop/service-${i}:80`, `version-${i}`]));
}

describe('versions that a client says it has', () => {
  it('are one object for all that say the same', () => {
    const message = (): Buffer => encodeDeltaRequest({ ...none, initialVersions: versionsOf(100) });
    const [one, other] = [decodeDeltaRequest(message()), decodeDeltaRequest(message())];
    assert.deepEqual(one.initialVersions, versionsOf(100));
    assert.equal(one.initialVersions, other.initialVersions);
    const more = decodeDeltaRequest(encodeDeltaRequest({ ...none, initialVersions: versionsOf(101) }));
    assert.deepEqual(more.initialVersions, versionsOf(101));
  });

  it('are read as well when other fields stand between them', () => {
    const half = (from: number): Buffer => {
      const initialVersions = new Map([...versionsOf(100)].slice(from, from + 50));
      return encodeDeltaRequest({ ...none, nonce: 'n', initialVersions });
    };
    const request = decodeDeltaRequest(Buffer.concat([half(0), half(50)]));
    assert.deepEqual(request.initialVersions, versionsOf(100));
    assert.equal(request.nonce, 'n');
  });
});
