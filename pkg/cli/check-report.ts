import type { CliContext } from './context.ts';
import { paintFor, type Paint } from './table.ts';

export interface CheckResult {
  readonly group: string;
  readonly name: string;
  readonly status: 'ok' | 'warning' | 'error';
  /** What was found. */
  readonly detail?: string;
  /** What to do about it. */
  readonly hint?: string;
}

/** Takes results as they are found. Text is shown at once; the whole is kept for JSON and the exit code. */
export interface CheckReport {
  readonly results: readonly CheckResult[];
  group(name: string): CheckGroup;
  /** What is waited for, shown until the next line; only where somebody watches. */
  progress(text: string): void;
}

export interface CheckGroup {
  ok(name: string, detail?: string): void;
  warning(name: string, detail: string, hint: string): void;
  error(name: string, detail: string, hint: string): void;
}

const clearLine = '\r\u001b[2K';

export function createCheckReport(context: CliContext, output: 'text' | 'json'): CheckReport {
  const { stdout } = context;
  const results: CheckResult[] = [];
  const live = stdout.isTTY === true && output === 'text';
  const paint = paintFor(context);
  let waiting = false;

  function write(lines: readonly string[]): void {
    if (output === 'json') return;
    stdout.write(`${waiting ? clearLine : ''}${lines.map((line) => `${line}\n`).join('')}`);
    waiting = false;
  }

  return {
    results,
    group(group) {
      let begun = false;
      const add = (result: CheckResult): void => {
        results.push(result);
        write([...(begun ? [] : ['', paint.strong(group)]), ...toLines(result, paint)]);
        begun = true;
      };
      return {
        ok: (name, detail) => add({ group, name, status: 'ok', ...(detail !== undefined && { detail }) }),
        warning: (name, detail, hint) => add({ group, name, status: 'warning', detail, hint }),
        error: (name, detail, hint) => add({ group, name, status: 'error', detail, hint }),
      };
    },
    progress(text) {
      if (!live) return;
      stdout.write(`${clearLine}${paint.dim(`… ${text}`.slice(0, (stdout.columns ?? 80) - 1))}`);
      waiting = true;
    },
  };
}

function toLines({ name, status, detail, hint }: CheckResult, paint: Paint): readonly string[] {
  const sign = { ok: paint.good('✔'), warning: paint.strong('‼'), error: paint.bad('✖') }[status];
  const lines = [`${sign} ${name}${detail === undefined ? '' : `: ${detail}`}`];
  if (hint !== undefined) lines.push(`    ${paint.dim('→')} ${hint}`);
  return lines;
}
