import { type AccessChange, diffAccess } from '../cases/access-diff.ts';
import { accessTable, everybody, routeText } from '../cases/access-table.ts';
import type { CliContext } from './context.ts';
import type { MeshConfigFlags } from './mesh-config.ts';
import { orTwo, readFiles, writeJson, writeLines } from './mesh-input.ts';
import { createPaint, toTable } from './table.ts';

export interface DiffFlags extends Pick<MeshConfigFlags, 'mode' | 'pathMatch'> {
  readonly namespace?: string;
  readonly output: 'text' | 'json';
}

/** `tulle diff OLD NEW`: 0 the same access, 1 it differs, 2 could not compare; as diff has it. */
export function runDiff(context: CliContext, before: string, after: string, flags: DiffFlags): Promise<number> {
  return orTwo(async () => {
    const [old, now] = [await readFiles(context, [before], flags), await readFiles(context, [after], flags)];
    const changes = diffAccess(accessTable(old.facts), accessTable(now.facts));
    if (flags.output === 'json') {
      writeJson(
        context,
        changes.map((change) => ({ ...change, route: routeText(change.route) })),
      );
    } else {
      writeLines(context, toText(context, changes));
    }
    return changes.length === 0 ? 0 : 1;
  });
}

function toText({ stdout, env }: CliContext, changes: readonly AccessChange[]): readonly string[] {
  if (changes.length === 0) return ['nobody gained or lost access'];
  const paint = createPaint(stdout.isTTY === true && env['NO_COLOR'] === undefined);
  const rows = changes.map(({ kind, source, service, route, at, except }) => [
    kind === 'gained' ? paint.good('+ gained') : paint.bad('- lost'),
    source === everybody ? 'everybody' : source,
    '->',
    service,
    routeText(route),
    [
      at ? `${kind === 'gained' ? 'at' : 'now only at'} ${at.join(', ')}` : '',
      except.length > 0 ? `${kind === 'gained' ? 'had' : 'keeps'} ${except.join(', ')}` : '',
    ]
      .filter((text) => text !== '')
      .join('; '),
  ]);
  const count = (wanted: AccessChange['kind']): number => changes.filter(({ kind }) => kind === wanted).length;
  return [...toTable(rows), `${count('gained')} gained, ${count('lost')} lost`];
}
