import assert from 'node:assert/strict';
import fc from 'fast-check';
import { BodyQueue } from './body-queue.ts';

describe('a queue of body bytes', () => {
  it('gives back what was put in, in order, whatever the pieces', () => {
    const pieces = fc.array(
      fc.oneof(
        fc.record({ push: fc.integer({ min: 0, max: 5000 }) }),
        fc.record({ take: fc.integer({ min: 1, max: 7000 }) }),
      ),
      { maxLength: 200 },
    );
    fc.assert(
      fc.property(pieces, (steps) => {
        const queue = new BodyQueue();
        const [sent, received]: [number[], Buffer[]] = [[], []];
        for (const step of steps) {
          if ('push' in step) {
            const chunk = Buffer.from(Array.from({ length: step.push }, (_, i) => (sent.length + i) % 251));
            sent.push(...chunk);
            queue.push(chunk);
          } else if (queue.bytes > 0) {
            received.push(Buffer.from(queue.take(step.take)));
          }
        }
        while (queue.bytes > 0) received.push(Buffer.from(queue.take(1000)));
        assert.ok(Buffer.concat(received).equals(Buffer.from(sent)));
      }),
    );
  });

  it('keeps little more than what waits: single bytes of large reads are copied together', () => {
    const queue = new BodyQueue();
    for (let i = 0; i < 5000; i++) queue.push(Buffer.alloc(65_536, i).subarray(0, 1));
    const chunks: Buffer[] = [];
    while (queue.bytes > 0) chunks.push(queue.take(65_536));
    assert.ok(chunks.length < 20, `${chunks.length} chunks`);
    assert.ok(new Set(chunks.map(({ buffer }) => buffer)).size < 20);
    assert.ok(chunks.reduce((sum, { buffer }) => sum + buffer.byteLength, 0) < 20_000);
  });
});
