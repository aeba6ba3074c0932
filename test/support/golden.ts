import assert from 'node:assert/strict';
import { existsSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { stringify } from 'yaml';

/**
 * Compares a value with the YAML file that says what it should be. Nothing to say (an empty list) has no file, so that
 * a problem that goes away takes its file along. UPDATE_GOLDEN=1 rewrites the file; where CI is set it is refused.
 */
export function matchGolden(file: string, actual: unknown): void {
  const empty = actual === undefined || (Array.isArray(actual) && actual.length === 0);
  const text = empty ? '' : stringify(actual, { lineWidth: 0, aliasDuplicateObjects: false });
  if (process.env['UPDATE_GOLDEN'] === '1') {
    assert.ok(!process.env['CI'], 'golden files are not rewritten in CI');
    if (empty) rmSync(file, { force: true });
    else writeFileSync(file, text);
  }
  const expected = existsSync(file) ? readFileSync(file, 'utf8') : '';
  assert.equal(text, expected, `${file} differs; if the new output is right, run: make golden`);
}
