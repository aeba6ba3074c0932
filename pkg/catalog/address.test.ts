import assert from 'node:assert/strict';
import { toPlainAddress } from './address.ts';

describe('toPlainAddress', () => {
  const same: readonly (readonly [string, readonly string[]])[] = [
    ['10.0.0.1', ['10.0.0.1', '010.000.0.01', '::ffff:10.0.0.1', '::FFFF:a00:1', '0:0:0:0:0:ffff:0a00:0001']],
    ['fd00:0:0:0:0:0:0:1', ['fd00::1', 'FD00:0::0:0001', 'fd00:0:0:0:0:0:0:1', 'fd00::0.0.0.1']],
    ['0:0:0:0:0:0:0:0', ['::']],
  ];
  for (const [plain, texts] of same) {
    it(`${plain}: however it is written`, () => {
      for (const text of texts) assert.equal(toPlainAddress(text), plain, text);
    });
  }

  it('leaves alone what is no address', () => {
    for (const text of ['', 'web', '10.0.0', '10.0.0.256', '1::2::3', 'fd00:1', 'g::', ':::', 'fd00::10.0.0'])
      assert.equal(toPlainAddress(text), text);
  });
});
