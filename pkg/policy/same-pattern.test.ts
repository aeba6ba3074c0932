import assert from 'node:assert/strict';
import { isSamePattern } from './same-pattern.ts';

describe('isSamePattern', () => {
  const same = [
    ['/a', '/\\x61'],
    ['/a', '(?:/a)'],
    ['/a', '/(a)'],
    ['/a', '/[a]'],
    ['/books', '\\/books'],
    ['[0-9]+', '\\d+'],
    ['a|b', '[ab]'],
    ['a{2}', 'aa'],
    ['/(a|bc)/x', '/(?:a|bc)/x'],
  ] as const;
  for (const [a, b] of same) {
    it(`tells that ${a} and ${b} are one`, () => {
      assert.ok(isSamePattern(a, b));
      assert.ok(isSamePattern(b, a));
    });
  }

  const others = [
    ['/a', '/b'],
    ['/a', '/A'],
    ['(?i)/a', '/a'],
    ['/a*', '/a+'],
    ['/a.*', '/a(?s:.*)'],
    ['^/a', '/a'],
    ['/a$', '/a\\b'],
    ['a|b', 'a|c'],
    ['a|bc', 'bc|ac'],
    ['(', '['],
    ['(a', '(a'.repeat(2)],
  ] as const;
  for (const [a, b] of others) {
    it(`does not say so of ${a} and ${b}`, () => assert.ok(!isSamePattern(a, b)));
  }

  it('knows nothing of patterns that are too long to look at', () => {
    assert.ok(!isSamePattern(`${'a'.repeat(5_000)}\\x61`, 'a'.repeat(5_001)));
  });
});
