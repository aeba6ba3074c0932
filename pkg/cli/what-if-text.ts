import { percent } from '../explain/explain-call.ts';
import type { WhatIfChange } from '../suggest/what-if.ts';
import { plural } from './plural.ts';
import { type Paint, toTable } from './table.ts';

const shown = 30;

/** What would become of calls, most calls first. */
export function describeChanges(
  title: string,
  changes: readonly WhatIfChange[],
  colour: (text: string) => string,
  { dim }: Paint,
): readonly string[] {
  if (changes.length === 0) return [`${title}: nothing`];
  const calls = changes.reduce((sum, change) => sum + change.calls, 0);
  const rows = changes
    .slice(0, shown)
    .map(({ source, owners, service, method, path, calls: own, share, why }) => [
      `  ${own} x`,
      `${source === '' ? '(no sidecar)' : source}${owners.length > 0 ? ` (${owners.map(shortOwner).join(', ')})` : ''}`,
      '->',
      service,
      `${method} ${path}`.trim() || 'TCP',
      share < 1 - 1e-9 ? `${percent(share)} of them` : '',
      dim(why),
    ]);
  const more = changes.length > shown ? [`  and ${changes.length - shown} more`] : [];
  return [colour(`${title}: ${callsText(calls)}`), ...toTable(rows), ...more];
}

export function callsText(calls: number): string {
  return plural(calls, 'call');
}

/** `bookbuyer/Deployment/bookbuyer` is `Deployment bookbuyer`. */
function shortOwner(owner: string): string {
  const [, kind = '', name = ''] = owner.split('/');
  return `${kind} ${name}`;
}
