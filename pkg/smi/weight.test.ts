import assert from 'node:assert/strict';
import fc from 'fast-check';
import { maxWeight, parseWeight, scaleWeights } from './weight.ts';

function scaled(...written: unknown[]): readonly (number | undefined)[] {
  return scaleWeights(written.map((value) => parseWeight(value) ?? assert.fail('not a weight')));
}

describe('weights', () => {
  it('keep their proportion', () => {
    assert.deepEqual(scaled(90, 10), [90, 10]);
    assert.deepEqual(scaled('1', '500m'), [2, 1]);
    assert.deepEqual(scaled('0.5', '1.5'), [1, 3]);
    assert.deepEqual(scaled('1k', '1e3', '2Ki'), [1000, 1000, 2048]);
    assert.deepEqual(scaled('1u', '1n'), [1000, 1]);
    assert.deepEqual(scaled(0.5, 0), [1, 0]);
    assert.deepEqual(scaled('0', '0'), [0, 0]);
    assert.deepEqual(scaled('.5', '5.'), [1, 10]);
    assert.deepEqual(scaled('2G', '1G'), [2, 1]);
    assert.deepEqual(scaled('2G', '1'), [undefined, 1]);
  });

  it('are no text of another kind, and not negative', () => {
    for (const value of [
      '',
      'm',
      '50%',
      '-1',
      '1 ',
      'ten',
      '1e',
      '1e999',
      '1mm',
      '1constructor',
      null,
      true,
      {},
      -0.5,
      NaN,
    ]) {
      assert.equal(parseWeight(value), undefined, JSON.stringify(value));
    }
  });

  it('are proportional whatever their unit (property)', () => {
    fc.assert(
      fc.property(fc.array(fc.nat(100_000), { minLength: 1, maxLength: 8 }), (milli) => {
        const weights = scaled(...milli.map((value) => `${value}m`));
        for (const [i, a] of milli.entries()) {
          for (const [j, b] of milli.entries()) assert.equal(a * (weights[j] ?? NaN), b * (weights[i] ?? NaN));
        }
        assert.ok(weights.every((weight) => weight !== undefined && Number.isInteger(weight) && weight <= maxWeight));
      }),
    );
  });
});
