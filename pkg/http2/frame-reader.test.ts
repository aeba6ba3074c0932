import assert from 'node:assert/strict';
import fc from 'fast-check';
import { FrameReader } from './frame-reader.ts';
import { preface, toFrame } from './frames.ts';

type Frame = readonly [type: number, flags: number, id: number, payload: string];

const frame = fc.tuple(
  fc.integer({ min: 0, max: 255 }),
  fc.integer({ min: 0, max: 255 }),
  fc.integer({ min: 0, max: 0x7fff_ffff }),
  fc.oneof(fc.constant(0), fc.integer({ min: 0, max: 40 }), fc.integer({ min: 0, max: 16_384 })),
);

function read(role: 'client' | 'server', bytes: Buffer, cuts: readonly number[]): Frame[] {
  const frames: Frame[] = [];
  const reader = new FrameReader(role, (type, flags, id, payload) =>
    frames.push([type, flags, id, payload.toString('latin1')]),
  );
  let from = 0;
  for (const cut of [...cuts].sort((a, b) => a - b)) {
    // A copy: what the reader keeps must not be what the socket uses again.
    const chunk = Buffer.from(bytes.subarray(from, cut));
    reader.push(chunk);
    chunk.fill(0xee);
    from = cut;
  }
  reader.push(bytes.subarray(from));
  return frames;
}

describe('a reader of frames', () => {
  it('finds the same frames however the bytes are cut', () => {
    fc.assert(
      fc.property(
        fc.array(frame, { maxLength: 12 }),
        fc.array(fc.nat(60_000), { maxLength: 40 }),
        fc.boolean(),
        (frames, cuts, isServer) => {
          const expected = frames.map(([type, flags, id, size]): Frame => [type, flags, id, 'p'.repeat(size)]);
          const parts = expected.map(([type, flags, id, text]) => toFrame(type, flags, id, Buffer.from(text)));
          const bytes = Buffer.concat([...(isServer ? [preface] : []), ...parts]);
          const role = isServer ? 'server' : 'client';
          assert.deepEqual(
            read(
              role,
              bytes,
              cuts.map((cut) => cut % (bytes.length + 1)),
            ),
            expected,
          );
        },
      ),
    );
  });

  it('finds them byte by byte', () => {
    const bytes = Buffer.concat([preface, toFrame(0, 1, 1, Buffer.from('hello')), toFrame(6, 0, 0, Buffer.alloc(8))]);
    const cuts = Array.from({ length: bytes.length }, (_, i) => i);
    assert.deepEqual(read('server', bytes, cuts), [
      [0, 1, 1, 'hello'],
      [6, 0, 0, '\0'.repeat(8)],
    ]);
  });

  it('ignores the reserved bit of stream ids', () => {
    const bytes = toFrame(0, 0, 1, Buffer.alloc(0));
    bytes[5] = 0x80;
    assert.deepEqual(read('client', bytes, []), [[0, 0, 1, '']]);
  });

  it('ends at the first byte that is not of the preface', () => {
    const reader = new FrameReader('server', () => assert.fail('no frame'));
    reader.push(preface.subarray(0, 10));
    assert.throws(() => reader.push(Buffer.from('x')), /not HTTP\/2/);
  });

  it('refuses a frame by its length, before its payload', () => {
    const header = toFrame(0, 0, 1, Buffer.alloc(16_385)).subarray(0, 9);
    assert.throws(() => read('client', header, []), /too long/);
  });

  it('reads nothing more once it is stopped, from within a frame too', () => {
    let count = 0;
    const reader = new FrameReader('client', () => {
      count++;
      reader.stop();
    });
    reader.push(Buffer.concat([toFrame(6, 0, 0, Buffer.alloc(8)), toFrame(6, 0, 0, Buffer.alloc(8))]));
    reader.push(toFrame(6, 0, 0, Buffer.alloc(8)));
    assert.equal(count, 1);
  });
});
