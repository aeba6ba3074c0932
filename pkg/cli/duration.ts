import { CliError } from './context.ts';

const units: Readonly<Record<string, number>> = { ms: 1, s: 1000, m: 60_000, h: 3_600_000 };

/** A timer that is to wait longer does not wait at all. */
const longest = 2 ** 31 - 1;

/** A duration that is waited for. */
export function parseWait(text: string): number {
  const milliseconds = parseDuration(text);
  if (milliseconds > longest) throw new CliError(`"${text}" is too long: 596h at most`, 2);
  return milliseconds;
}

/** `20s`, `1m30s`, `500ms` in milliseconds. A bare number is seconds. */
export function parseDuration(text: string): number {
  const trimmed = text.trim();
  if (/^\d+(\.\d+)?$/.test(trimmed)) return Number(trimmed) * 1000;
  const parts = [...trimmed.matchAll(/(\d+(?:\.\d+)?)(ms|s|m|h)/g)];
  if (parts.length === 0 || parts.map(([whole]) => whole).join('') !== trimmed) {
    throw new CliError(`"${text}" is not a duration: write 20s, 1m30s or 500ms`, 2);
  }
  return parts.reduce((sum, [, number, unit]) => sum + Number(number) * (units[unit ?? ''] ?? 0), 0);
}
