import assert from 'node:assert/strict';
import { describe, it } from 'mocha';
import { parseDuration, parseWait } from './duration.ts';

describe('parseDuration', () => {
  it('reads what people write', () => {
    assert.deepEqual(
      ['20s', '1m30s', '500ms', '20', '0.5s', '2h'].map(parseDuration),
      [20_000, 90_000, 500, 20_000, 500, 7_200_000],
    );
  });

  it('refuses what no timer can wait for', () => {
    assert.equal(parseWait('596h'), 596 * 3_600_000);
    for (const text of ['597h', '600h', '99999999']) assert.throws(() => parseWait(text), /596h at most/, text);
    assert.equal(parseDuration('720h'), 720 * 3_600_000);
  });

  it('refuses the rest with what to write', () => {
    for (const text of ['', 's', '20 s', '20x', '-1s', '1s2'])
      assert.throws(() => parseDuration(text), /write 20s/, text);
  });
});
