import { accessSync, constants } from 'node:fs';
import { delimiter, join } from 'node:path';

const root = join(import.meta.dirname, '../..');

/**
 * Path of a program that tests use: in PATH, in the folder that TULLE_TEST_TOOLS names, or where scripts/test-tools.sh
 * puts what it gets. Absent: tests that need it are skipped.
 */
export function findProgram(name: string): string | undefined {
  const named = process.env['TULLE_TEST_TOOLS'];
  const folders = [
    ...(process.env['PATH'] ?? '').split(delimiter),
    ...(named === undefined ? [] : [named]),
    join(root, 'build/tools/bin'),
  ];
  return folders.map((folder) => join(folder, name)).find(isProgram);
}

function isProgram(path: string): boolean {
  try {
    accessSync(path, constants.X_OK);
    return true;
  } catch {
    return false;
  }
}
