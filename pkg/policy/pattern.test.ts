import assert from 'node:assert/strict';
import { checkRegex } from '../smi/regex.ts';
import { compilePattern } from './pattern.ts';

describe('compilePattern', () => {
  it('matches whole values, byte by byte', () => {
    assert.equal(compilePattern('/a|/ab').test('/ab'), true);
    assert.equal(compilePattern('/a').test('/a/b'), false);
    assert.equal(compilePattern('/a.*').test('/a/b'), true);
    assert.equal(compilePattern('/a.*').test('/a\n'), false);
    assert.equal(compilePattern('[^/]{2}').test('\xc3\xa9'), true);
  });

  it('matches nothing with what is no RE2 or too large', () => {
    for (const pattern of ['(', '(?=a)', 'a{1000}'.repeat(6), 'a'.repeat(20_000)]) {
      assert.equal(compilePattern(`(?:${pattern})?`).test(''), false, pattern.slice(0, 20));
    }
  });

  it('takes the longest and the largest pattern with an open end too', () => {
    for (const pattern of [`[${'a'.repeat(16_382)}]`, 'a'.repeat(4_998)]) {
      assert.equal(checkRegex(pattern), undefined);
      const sample = pattern.startsWith('[') ? 'a' : pattern;
      assert.equal(compilePattern(pattern).test(sample), true);
      assert.equal(compilePattern(`(?:${pattern}).*`).test(`${sample}/b`), true);
    }
  });
});
