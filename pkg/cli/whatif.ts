import { percent } from '../explain/explain-call.ts';
import { type MeshFacts, toMeshFacts } from '../explain/mesh-facts.ts';
import { whatIf, type WhatIfChange } from '../suggest/what-if.ts';
import { CliError, type CliContext } from './context.ts';
import { type MeshInput, findRunningMesh, orTwo, readFiles, readInput, writeJson, writeLines } from './mesh-input.ts';
import { recordedCalls, warnIfCut } from './recorded-calls.ts';
import { createPaint, type Paint, toTable } from './table.ts';

export interface WhatIfFlags {
  readonly file: readonly string[];
  readonly namespace?: string;
  readonly mode?: 'enforce' | 'permissive' | 'shadow';
  readonly since: string;
  readonly output: 'text' | 'json';
}

/** `tulle whatif -f NEW`: 0 nothing would be refused that passed, 1 something would, 2 could not tell. */
export function runWhatIf(context: CliContext, flags: WhatIfFlags): Promise<number> {
  return orTwo(async () => {
    if (flags.file.length === 0) throw new CliError('write tulle whatif -f NEW: the policy to try', 2);
    const mesh = findRunningMesh(context);
    const calls = await recordedCalls(mesh, flags.since);
    warnIfCut(context, calls);
    if (calls.length === 0) throw new CliError(`the mesh recorded no calls in the last ${flags.since}`, 2);
    const now = await readInput(context, {});
    // As it runs, unless told otherwise.
    const next = overlay(now, await readFiles(context, flags.file, flags, mesh.config));
    const result = whatIf(calls, now.facts, next);
    if (flags.output === 'json') {
      writeJson(context, { ...result, unknown: Object.fromEntries(result.unknown) });
    } else {
      const paint = createPaint(context.stdout.isTTY === true && context.env['NO_COLOR'] === undefined);
      const { denied, allowed, unchanged, unknown, replayed } = result;
      writeLines(context, [
        `replayed ${replayed} calls of the last ${flags.since} against ${flags.file.join(' ')}`,
        ...block('newly denied', denied, paint.bad, paint),
        ...block('newly allowed', allowed, paint.good, paint),
        ...[...unknown].map(([why, count]) => `not judged: ${count} calls: ${why}`),
        `${unchanged} calls as before`,
      ]);
    }
    return result.denied.length > 0 ? 1 : 0;
  });
}

/**
 * Files with Services are a mesh of their own. Files without are policy: they take the place of the objects of the running
 * mesh that have their names, and the rest stays, as it would when they are applied.
 */
function overlay(now: MeshInput, next: MeshInput): MeshFacts {
  if (next.facts.snapshot.services.length > 0) return next.facts;
  const { smi, namespaces, config } = next.facts.snapshot;
  const current = now.facts.snapshot;
  const idOf = ({ kind, metadata }: (typeof smi)[number]): string => `${kind} ${metadata.namespace}/${metadata.name}`;
  const replaced = new Set(smi.map(idOf));
  const modes = new Map(namespaces.filter(({ mode }) => mode !== undefined).map((each) => [each.name, each]));
  return toMeshFacts(
    {
      ...current,
      config,
      namespaces: current.namespaces.map((each) => modes.get(each.name) ?? each),
      smi: [...current.smi.filter((raw) => !replaced.has(idOf(raw))), ...smi],
    },
    (resource, field) => next.read.locate(resource, field) ?? now.read.locate(resource, field),
  );
}

const shown = 30;

function block(
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
  return [colour(`${title}: ${calls} calls`), ...toTable(rows), ...more];
}

/** `bookbuyer/Deployment/bookbuyer` is `Deployment bookbuyer`. */
function shortOwner(owner: string): string {
  const [, kind = '', name = ''] = owner.split('/');
  return `${kind} ${name}`;
}
