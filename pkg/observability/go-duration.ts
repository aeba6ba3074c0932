const units: Readonly<Record<string, number>> = {
  ns: 1,
  us: 1_000,
  µs: 1_000,
  μs: 1_000,
  ms: 1_000_000,
  s: 1_000_000_000,
  m: 60_000_000_000,
  h: 3_600_000_000_000,
};

/** Nanoseconds of a duration as Go writes it, `1.5s`, `2h45m`: Jaeger's filters take these. Undefined: not one. */
export function parseGoDuration(text: string): number | undefined {
  if (text === '0') return 0;
  const [, sign = '', parts] = /^([-+]?)((?:(?:\d+\.?\d*|\.\d+)(?:ns|us|µs|μs|ms|s|m|h))+)$/.exec(text) ?? [];
  if (parts === undefined || text.length > 64) return undefined;
  let total = 0;
  for (const [, amount, unit = ''] of parts.matchAll(/([\d.]+)([a-zµμ]+)/g))
    total += Number(amount) * (units[unit] ?? 0);
  return Math.trunc(sign === '-' ? -total : total);
}

/** `1h0m0.5s`, `-1.5ms`, `0s`: as Go prints a duration. */
export function formatGoDuration(nanoseconds: number): string {
  if (nanoseconds === 0) return '0s';
  const sign = nanoseconds < 0 ? '-' : '';
  const rest = Math.abs(nanoseconds);
  if (rest < 1_000) return `${sign}${rest}ns`;
  if (rest < 1_000_000) return `${sign}${rest / 1_000}µs`;
  if (rest < 1_000_000_000) return `${sign}${rest / 1_000_000}ms`;
  const hours = Math.floor(rest / 3_600_000_000_000);
  const minutes = Math.floor((rest % 3_600_000_000_000) / 60_000_000_000);
  const seconds = (rest % 60_000_000_000) / 1_000_000_000;
  return `${sign}${hours > 0 ? `${hours}h` : ''}${hours > 0 || minutes > 0 ? `${minutes}m` : ''}${seconds}s`;
}

/** `2026-11-21 08:36:22.143000123 +0000 UTC`: as Go prints a time. */
export function formatGoTime(nanoseconds: bigint): string {
  const seconds = new Date(Number(nanoseconds / 1_000_000n)).toISOString().slice(0, 19).replace('T', ' ');
  const fraction = (nanoseconds % 1_000_000_000n).toString().padStart(9, '0').replace(/0+$/, '');
  return `${seconds}${fraction === '' ? '' : `.${fraction}`} +0000 UTC`;
}
