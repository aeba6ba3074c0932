import assert from 'node:assert/strict';
import fc from 'fast-check';
import { checkRegex } from './regex.ts';

describe('checkRegex', () => {
  it('takes ordinary patterns', () => {
    for (const pattern of [
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
      '^$',
      '/{id}',
      '[^/]+',
      '[\\w.-]{1,64}',
      '/%C3%A9',
      '\\x2f\\x{7e}',
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
    for (const pattern of [
      '',
      '(',
      ')',
      '[a',
      '[[:no:]]',
      '[z-a]',
      '[a-\\d]',
      '*a',
      '(?i)*',
      '^*',
      'a**',
      'a{2,1}',
      'a{1001}',
      '(a{10}){101}',
      'a{01}',
      '\\',
      '\\Z',
      '\\Qa',
      '(?x)a',
      '(?P<x>a)(?P<x>b)',
      'a\n',
      '('.repeat(5_000),
    ]) {
      assert.equal(checkRegex(pattern)?.reason, 'RegexInvalid', pattern);
    }
  });

  // Envoys of different versions refuse these, or read them in different ways.
  for (const pattern of [
    '\u00e9',
    '\ud800',
    '\\x{100}',
    '\\xff',
    '[^\\x80]',
    '\\p{Greek}',
    '\\PN',
    '[\\pL]',
    '\\C',
    '(?P<\u00e9>a)',
  ]) {
    it(`refuses what is not of ASCII: ${JSON.stringify(pattern)}`, () => {
      assert.equal(checkRegex(pattern)?.reason, 'RegexUnsupported');
    });
  }

  it('counts as Envoy does: a class of many ranges is many instructions', () => {
    assert.equal(checkRegex('[acegikmoqsuwy]{1000}')?.reason, 'RegexTooLarge');
    assert.equal(checkRegex('[acegikmoqsuwy]{700}'), undefined);
    assert.equal(checkRegex('[a-z]{1000}'), undefined);
  });

  it('says where, and what to do', () => {
    assert.deepEqual(checkRegex('/caf\u00e9'), {
      reason: 'RegexUnsupported',
      message: 'U+00E9 (\u00e9) is not ASCII, and Envoys read it in different ways',
      fix: 'paths and headers are compared byte by byte: in a path, write the bytes as they are sent, as %C3%A9',
    });
    assert.equal(checkRegex('/a(b')?.message, 'the group that opens at character 3 is not closed');
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
