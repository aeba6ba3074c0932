import assert from 'node:assert/strict';
import { createChance } from './http1-generate.ts';
import { generateHttp2 } from './http2-generate.ts';
import { startOracle } from './http2-oracle.ts';
import { type Http2Reading, readWithOurs } from './http2-reading.ts';

const inputs = Number(process.env['FUZZ_INPUTS'] ?? 1_500);
const seed = Number(process.env['FUZZ_SEED'] ?? 1);
/** The two processes take so many at a time: most of the time would go into passing them to and fro. */
const atOnce = 32;

interface Input {
  readonly bytes: Buffer;
  /** Nothing is wrong with it. */
  readonly sound: boolean;
  /** Where the bytes are cut for ours. */
  readonly cuts: readonly number[];
}

describe('the HTTP/2 codec and that of node, given the same bytes', () => {
  it(`take the same requests, and ours never one that the other refuses (${inputs} inputs, seed ${seed})`, async function () {
    this.timeout(3_600_000);
    const oracle = await startOracle();
    const chance = createChance(seed);
    let accepted = 0;
    let stricter = 0;
    let outlived = 0;
    let crashes = 0;
    const generate = (): Input => {
      const { bytes, sound } = generateHttp2(chance);
      const cuts = Array.from({ length: chance.below(4) }, () => chance.below(bytes.length)).sort((a, b) => a - b);
      return { bytes, sound, cuts };
    };
    const compare = (i: number, { bytes, sound, cuts }: Input, ours: Http2Reading, theirs: Http2Reading): void => {
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
    };
    for (let from = 0; from < inputs; from += atOnce) {
      const batch = Array.from({ length: Math.min(atOnce, inputs - from) }, generate);
      const [ours, theirs] = await Promise.all([
        Promise.all(batch.map(({ bytes, cuts }) => readWithOurs(bytes, cuts))),
        oracle.read(batch.map(({ bytes }) => bytes)),
      ]);
      for (const [i, input] of batch.entries()) {
        const answer = theirs[i];
        if (answer === undefined) crashes++;
        else compare(from + i, input, ours[i] as Http2Reading, answer);
      }
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
