import assert from 'node:assert/strict';
import fc from 'fast-check';
import { pathCases } from './normalize-path.cases.ts';
import { normalizePath } from './normalize-path.ts';

describe('normalizePath', () => {
  for (const [target, becomes] of pathCases) {
    it(`${JSON.stringify(target)}: ${typeof becomes === 'string' ? becomes : becomes.refused}`, () => {
      const result = normalizePath(target);
      const actual = result.ok ? result.path + result.query : { refused: result.reason };
      assert.deepEqual(actual, becomes);
    });
  }

  it('leaves no dot segment, no backslash and no unresolved slash run behind, whatever came', () => {
    const piece = fc.constantFrom(
      '/',
      '.',
      '..',
      '%2e',
      '%2E',
      '\\',
      '%',
      '2',
      'e',
      '%65',
      '%32',
      ';',
      'a',
      '?',
      '%41',
    );
    fc.assert(
      fc.property(fc.array(piece, { maxLength: 14 }), (pieces) => {
        const result = normalizePath(`/${pieces.join('')}`);
        if (!result.ok) return;
        const segments = result.path.split('/');
        assert.ok(!segments.includes('.') && !segments.includes('..'), result.path);
        assert.ok(!result.path.includes('\\'), result.path);
        assert.ok(result.path === '//' || !result.path.includes('//'), result.path);
        assert.doesNotMatch(result.path, /%(?:2f|5c|2e)/i);
      }),
      { numRuns: 3000 },
    );
  });
});
