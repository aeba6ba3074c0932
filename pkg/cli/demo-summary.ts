import { writeFileSync } from 'node:fs';
import { resolve } from 'node:path';
import type { CliContext } from './context.ts';
import type { DemoReport } from './demo-check.ts';

/** To the file that was named, and to whoever looks on. */
export function writeSummary(
  { cwd, stdout }: CliContext,
  summary: DemoReport,
  { summary: file, output }: { readonly summary?: string; readonly output: 'text' | 'json' },
  say: (line: string) => void,
): void {
  if (file !== undefined) writeFileSync(resolve(cwd, file), `${JSON.stringify(summary, undefined, 2)}\n`);
  if (output === 'json') stdout.write(`${JSON.stringify({ type: 'summary', ...summary })}\n`);
  else for (const line of describe(summary)) say(line);
}

function describe({ ok, checks }: DemoReport): readonly string[] {
  const lines = checks.map(({ name, ok: held, detail }) => `${held ? 'holds' : 'FAILS'}  ${name}: ${detail}`);
  return ['', ...lines, ok ? 'all of it holds' : 'not all of it holds'];
}
