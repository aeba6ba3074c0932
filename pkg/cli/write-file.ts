import { writeFileSync } from 'node:fs';
import { resolve } from 'node:path';
import { CliError, type CliContext } from './context.ts';

/** Writes a file that the user named; that it can't be written is an answer. */
export function writeFile({ cwd }: Pick<CliContext, 'cwd'>, file: string, text: string): void {
  try {
    writeFileSync(resolve(cwd, file), text);
  } catch (error) {
    const { code = String(error) } = error as NodeJS.ErrnoException;
    throw new CliError(
      `${file}: ${code === 'ENOENT' ? 'its folder is not there' : `it can't be written (${code})`}`,
      2,
    );
  }
}
