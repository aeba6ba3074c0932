import assert from 'node:assert/strict';
import fc from 'fast-check';
import { checkRegex } from './regex.ts';

describe('checkRegex', () => {
  it('takes ordinary patterns', () => {
    for (const pattern of [
      '',
      '/books',
      '/api/v[0-9]+/.*',
      '^(.*?;)?(user=jason)(;.*)?$',
      '[]()]+',
      '[[:alpha:](?=]',
      '\\Q(?=\\E',
      '\\(?',
      'a\\++',
      '(?i)x',
      '(?P<id>x)',
      '\\p{Greek}',
    ]) {
      assert.equal(checkRegex(pattern), undefined, pattern);
    }
  });

  for (const [pattern, construct] of [
    ['a(?=b)', 'look-ahead'],
    ['a(?!b)', 'negative look-ahead'],
    ['(?<=a)b', 'look-behind'],
    ['(?<!a)b', 'negative look-behind'],
    ['(a)\\1', 'back-reference'],
    ['(?P<x>a)(?P=x)', 'back-reference'],
    ['(?<x>a)\\k<x>', 'back-reference'],
    ['(?>a)', 'atomic group'],
    ['a++', 'possessive'],
  ] as const) {
    it(`refuses ${pattern} by name`, () => {
      const fault = checkRegex(pattern);
      assert.equal(fault?.reason, 'RegexUnsupported');
      assert.match(fault.message, new RegExp(construct));
    });
  }

  it('tells syntax errors', () => {
    for (const pattern of ['(', '[a', '*a', 'a{2,1}', '\\', '\\p{Nope}', '\ud800']) {
      assert.equal(checkRegex(pattern)?.reason, 'RegexInvalid', pattern);
    }
  });

  it('bounds what a pattern compiles to, quickly', () => {
    const started = performance.now();
    for (const pattern of ['(a{100}){100}', '.{1000}'.repeat(20), 'a'.repeat(20_000), '((a{30}){30}){30}']) {
      const reason = checkRegex(pattern)?.reason;
      assert.ok(reason === 'RegexTooLarge' || reason === 'RegexInvalid', `${pattern.slice(0, 20)} ${reason}`);
    }
    assert.equal(checkRegex('/[a-z]{100}'), undefined);
    assert.ok(performance.now() - started < 2000);
  });

  it('never throws', () => {
    fc.assert(
      fc.property(fc.string({ unit: 'binary' }), (pattern) => {
        checkRegex(pattern);
      }),
    );
  });
});
