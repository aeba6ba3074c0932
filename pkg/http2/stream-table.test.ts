import assert from 'node:assert/strict';
import fc from 'fast-check';
import type { Http2Stream } from './stream.ts';
import { StreamTable } from './stream-table.ts';

const toStream = (id: number): Http2Stream => ({ id }) as Http2Stream;

describe('the table of the streams of a connection', () => {
  it('is a map from ids, whatever comes and goes', () => {
    // Ids that fall on few places are the hard ones: the last place of a small table among them.
    const id = fc.oneof(
      fc.nat(40).map((n) => 2 * n + 1),
      fc.nat(40).map((n) => 64 * n + 31),
      fc.nat(0x3fff_fffe).map((n) => 2 * n + 1),
    );
    fc.assert(
      fc.property(fc.array(fc.tuple(fc.boolean(), id), { maxLength: 300 }), (steps) => {
        const table = new StreamTable();
        const expected = new Map<number, Http2Stream>();
        for (const [adds, at] of steps) {
          if (!adds) {
            table.delete(at);
            expected.delete(at);
          } else if (!expected.has(at)) {
            const stream = toStream(at);
            table.add(stream);
            expected.set(at, stream);
          }
          assert.equal(table.size, expected.size);
          for (const [, other] of steps) assert.equal(table.get(other), expected.get(other));
        }
        assert.deepEqual(
          table.values().map((stream) => stream.id),
          [...expected.keys()].sort((a, b) => a - b),
        );
      }),
      { numRuns: 60 },
    );
  });

  it('is small again after many', () => {
    const table = new StreamTable();
    for (let i = 0; i < 1000; i++) table.add(toStream(2 * i + 1));
    for (let i = 0; i < 999; i++) table.delete(2 * i + 1);
    assert.deepEqual(table.values(), [table.get(1999)]);
  });
});
