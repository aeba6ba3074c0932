import type { CliContext } from './context.ts';

/** Columns as wide as their widest cell, two blanks between, no blanks at the end; `columns` cuts long lines. */
export function toTable(rows: readonly (readonly string[])[], columns = Number.POSITIVE_INFINITY): readonly string[] {
  const widths: number[] = [];
  for (const row of rows) for (const [i, cell] of row.entries()) widths[i] = Math.max(widths[i] ?? 0, widthOf(cell));
  return rows.map((row) => {
    const cells = row.map((cell, i) => cell + ' '.repeat((widths[i] ?? 0) - widthOf(cell)));
    return cut(cells.join('  ').trimEnd(), columns);
  });
}

const colours = /\u001b\[[0-9;]*m/g;

export function widthOf(text: string): number {
  return [...text.replaceAll(colours, '')].length;
}

/** Cuts to a width, and ends a colour that the cut would have left open. */
export function cut(text: string, columns: number): string {
  if (widthOf(text) <= columns) return text;
  let width = 0;
  let result = '';
  for (const part of text.split(/(\u001b\[[0-9;]*m)/)) {
    if (part.startsWith('\u001b[')) {
      result += part;
      continue;
    }
    for (const letter of part) {
      if (width >= columns - 1) return `${result}…\u001b[0m`;
      result += letter;
      width += 1;
    }
  }
  return result;
}

/** Breaks a plain text at blanks into lines of a width; the second and later ones are indented. */
export function wrap(text: string, columns: number): readonly string[] {
  const lines: string[] = [];
  let line = '';
  for (const word of text.split(' ')) {
    if (line !== '' && widthOf(line) + 1 + widthOf(word) > columns) {
      lines.push(line);
      line = `  ${word}`;
    } else line = line === '' ? word : `${line} ${word}`;
  }
  return [...lines, line];
}

export interface Paint {
  readonly good: (text: string) => string;
  readonly bad: (text: string) => string;
  readonly dim: (text: string) => string;
  readonly strong: (text: string) => string;
}

/** Colours for a terminal, unless NO_COLOR says otherwise: set to something, as no-color.org has it. */
export function paintFor({ stdout, env }: Pick<CliContext, 'stdout' | 'env'>): Paint {
  return createPaint(stdout.isTTY === true && (env['NO_COLOR'] ?? '') === '');
}

export function createPaint(coloured: boolean): Paint {
  const wrap =
    (code: number) =>
    (text: string): string =>
      coloured ? `\u001b[${code}m${text}\u001b[0m` : text;
  return { good: wrap(32), bad: wrap(31), dim: wrap(2), strong: wrap(1) };
}
