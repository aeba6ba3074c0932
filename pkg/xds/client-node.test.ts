import assert from 'node:assert/strict';
import { setFlagsFromString } from 'node:v8';
import { runInNewContext } from 'node:vm';
import { bounded, clip, decodeNodeOf, nobody } from './client-node.ts';
import { decodeDeltaRequest, encodeDeltaRequest, encodeSotwRequest } from './discovery.ts';

const node = { id: 'web', cluster: '', userAgent: 'envoy', metadata: { zone: 'a' } };
const noDelta = {
  typeUrl: 't',
  subscribe: [],
  unsubscribe: [],
  initialVersions: new Map<string, string>(),
  nonce: 'n',
};
const size = 2_000_000;

/** Bytes that stay in memory of what is kept. */
function heldBy(keep: (i: number) => unknown): number {
  setFlagsFromString('--expose-gc');
  const gc = runInNewContext('gc') as () => void;
  gc();
  const before = process.memoryUsage().heapUsed;
  const kept = Array.from({ length: 10 }, (_, i) => keep(i));
  gc();
  const held = process.memoryUsage().heapUsed - before;
  assert.equal(kept.length, 10);
  return held;
}

describe('what a client says of itself', () => {
  it('is read of its first message, in both protocols, or nobody says it', () => {
    assert.deepEqual(decodeNodeOf(encodeDeltaRequest({ ...noDelta, node }), 'delta').metadata['zone'], 'a');
    const sotw = { typeUrl: 't', version: '', names: ['a'], nonce: '', node };
    assert.equal(decodeNodeOf(encodeSotwRequest(sotw), 'sotw').id, 'web');
    assert.equal(decodeNodeOf(encodeDeltaRequest(noDelta), 'delta'), nobody);
  });

  it('is cut to what is kept of it: the rest of a long text does not stay in memory', () => {
    assert.equal(clip(`a\u0000b\u00e9${'x'.repeat(1_000)}`), `a?b?${'x'.repeat(252)}`);
    assert.ok(heldBy((i) => clip(Buffer.alloc(size, 97 + i).toString())) < size);
  });

  it('is cut to a number of entries, however short they are', () => {
    const many = Object.fromEntries(Array.from({ length: 100_000 }, (_, i) => [i.toString(36), '']));
    const count = Object.keys(bounded({ zone: 'a', ...many })).length;
    assert.ok(count > 100 && count < 1_500, `${count} entries`);
  });
});

describe('what a client says is wrong', () => {
  const complain = (message: string): string =>
    decodeDeltaRequest(encodeDeltaRequest({ ...noDelta, error: { code: 3, message } })).error?.message ?? '';

  it('is kept to a length, and no more of it stays in memory', () => {
    assert.equal(complain('x'.repeat(10_000)).length, 8192);
    assert.equal(complain('no such cluster'), 'no such cluster');
    assert.ok(heldBy((i) => complain(`${i}`.padEnd(size, 'x'))) < size);
  });
});
