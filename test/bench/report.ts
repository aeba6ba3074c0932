/** What one case of the benchmark found: a table, and what it was to reach. */
export interface Section {
  readonly title: string;
  readonly text: string;
  readonly heads: readonly string[];
  readonly rows: readonly (readonly string[])[];
  readonly goals: readonly Goal[];
}

export interface Goal {
  readonly text: string;
  readonly value: string;
  readonly met: boolean;
}

export function toGoal(text: string, value: number, limit: number, unit = ''): Goal {
  return { text, value: `${toText(value)}${unit}`, met: value <= limit };
}

/** Three digits that mean something. */
export function toText(value: number): string {
  if (!Number.isFinite(value)) return '–';
  if (value === 0) return '0';
  const digits = Math.max(0, 2 - Math.floor(Math.log10(Math.abs(value))));
  return value.toFixed(Math.min(digits, 4));
}

/** `findings`: where the time goes, what was tried and what it gave. */
export function toMarkdown({ title, text, heads, rows, goals }: Section, findings = ''): string {
  const table = [heads, heads.map(() => '---'), ...rows].map((cells) => `| ${cells.join(' | ')} |`).join('\n');
  const list = goals.map((goal) => `- ${goal.met ? 'met' : '**not met**'}: ${goal.text}: ${goal.value}`).join('\n');
  const told = findings === '' ? '' : `### Where the time goes\n\n${findings}`;
  return [`## ${title}`, text, rows.length > 0 ? table : '', list, told].filter((part) => part !== '').join('\n\n');
}
