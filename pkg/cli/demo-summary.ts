import type { CliContext } from './context.ts';
import type { DemoReport } from './demo-check.ts';
import { writeFile } from './write-file.ts';

/** To the file that was named, and to whoever looks on. */
export function writeSummary(
  context: CliContext,
  summary: DemoReport,
  { summary: file, output }: { readonly summary?: string; readonly output: 'text' | 'json' },
  say: (line: string) => void,
): void {
  if (output === 'json') context.stdout.write(`${JSON.stringify({ type: 'summary', ...summary })}\n`);
  else for (const line of describe(summary)) say(line);
  if (file !== undefined) writeFile(context, file, `${JSON.stringify(summary, undefined, 2)}\n`);
}

function describe({ ok, checks }: DemoReport): readonly string[] {
  const lines = checks.map(({ name, ok: held, detail }) => `${held ? 'holds' : 'FAILS'}  ${name}: ${detail}`);
  return ['', ...lines, ok ? 'all of it holds' : 'not all of it holds'];
}
