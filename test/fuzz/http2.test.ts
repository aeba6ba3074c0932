import assert from 'node:assert/strict';
import { createChance } from './http1-generate.ts';
import { generateHttp2 } from './http2-generate.ts';
import { startOracle } from './http2-oracle.ts';
import { readWithOurs } from './http2-reading.ts';

const inputs = Number(process.env['FUZZ_INPUTS'] ?? 1_500);
const seed = Number(process.env['FUZZ_SEED'] ?? 1);

describe('the HTTP/2 codec and that of node, given the same bytes', () => {
  it(`take the same requests, and ours never one that the other refuses (${inputs} inputs, seed ${seed})`, async function () {
    this.timeout(3_600_000);
    const oracle = await startOracle();
    const chance = createChance(seed);
    let accepted = 0;
    let stricter = 0;
    let outlived = 0;
    let crashes = 0;
    for (let i = 0; i < inputs; i++) {
      const { bytes, sound } = generateHttp2(chance);
      const cuts = Array.from({ length: chance.below(4) }, () => chance.below(bytes.length)).sort((a, b) => a - b);
      const [ours, theirs] = await Promise.all([readWithOurs(bytes, cuts), oracle.read(bytes)]);
      if (theirs === undefined) {
        crashes++;
        continue;
      }
      const told = `input ${i} of seed ${seed}: ${bytes.toString('hex')} cut at ${cuts.join(',')}`;
      for (const [id, request] of ours.complete) {
        accepted++;
        // Where the other gives up a whole connection for what was wrong on another stream, ours may go on (RFC 9113 §5.4.2).
        if (theirs.failed && !theirs.complete.has(id)) {
          outlived++;
          continue;
        }
        assert.equal(request, theirs.complete.get(id), `stream ${id}, ${told}`);
      }
      for (const id of theirs.complete.keys()) if (!ours.complete.has(id)) stricter++;
      if (sound) assert.deepEqual(sorted(ours.complete), sorted(theirs.complete), told);
      if (sound) assert.equal(ours.failed, false, told);
    }
    oracle.close();
    if (this.test && crashes > 0) this.test.title += `; the other crashed on ${crashes} of them`;
    assert.ok(accepted > inputs / 2, `only ${accepted} requests were taken`);
    assert.ok(outlived < accepted / 10, `ours went on with ${outlived} requests on connections that the other gave up`);
    assert.ok(stricter < inputs / 10, `ours refused ${stricter} requests that the other took`);
  });
});

function sorted(complete: ReadonlyMap<number, string>): number[] {
  return [...complete.keys()].sort((a, b) => a - b);
}
