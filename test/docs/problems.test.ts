import assert from 'node:assert/strict';
import { readFileSync } from 'node:fs';
import { join } from 'node:path';
import { problemReasons } from '../../pkg/problem/reasons.ts';

const text = readFileSync(join(import.meta.dirname, '../../docs/problems.md'), 'utf8');

describe('docs/problems.md', () => {
  const sections = new Map(
    text
      .split(/^## /m)
      .slice(1)
      .map((section) => [section.split('\n')[0] ?? '', section]),
  );

  for (const reason of problemReasons) {
    it(`tells what ${reason} means and what to do`, () => {
      const section = sections.get(reason);
      assert.ok(section, `no heading "## ${reason}"`);
      assert.match(section, /^Do: ./m);
    });
  }

  it('has no heading for a reason that there is not', () => {
    const reasons: readonly string[] = problemReasons;
    assert.deepEqual(
      [...sections.keys()].filter((heading) => !reasons.includes(heading)),
      [],
    );
  });
});
