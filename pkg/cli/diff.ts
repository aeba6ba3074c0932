import { type AccessChange, diffAccess, findRespelled, type Respelling } from '../cases/access-diff.ts';
import { accessTable, everybody, routeText } from '../cases/access-table.ts';
import { type ClusterFlags, meansCluster } from './cluster-flags.ts';
import { CliError, type CliContext } from './context.ts';
import type { MeshConfigFlags } from './mesh-config.ts';
import { type MeshInput, orTwo, readFiles, readInput, writeJson, writeLines } from './mesh-input.ts';
import { paintFor, toTable } from './table.ts';

export interface DiffFlags extends Pick<MeshConfigFlags, 'mode' | 'pathMatch'>, ClusterFlags {
  readonly namespace?: string;
  readonly output: 'text' | 'json';
}

/**
 * `tulle diff OLD NEW`, or `tulle diff NEW --context C`: what applying NEW to the cluster would change.
 * 0 the same access, 1 it differs, 2 could not compare; as diff has it.
 */
export function runDiff(context: CliContext, paths: readonly string[], flags: DiffFlags): Promise<number> {
  return orTwo(async () => {
    const [old, now] = await readBoth(context, paths, flags);
    const [before, after] = [accessTable(old.facts), accessTable(now.facts)];
    const changes = diffAccess(before, after);
    if (flags.output === 'json') {
      writeJson(
        context,
        changes.map((change) => ({ ...change, route: routeText(change.route) })),
      );
    } else {
      writeLines(context, [...toText(context, changes), ...findRespelled(before, after).map(toRespelledText)]);
    }
    return changes.length === 0 ? 0 : 1;
  });
}

async function readBoth(
  context: CliContext,
  paths: readonly string[],
  flags: DiffFlags,
): Promise<readonly [MeshInput, MeshInput]> {
  if (meansCluster(flags)) {
    if (paths.length === 0) throw new CliError('write tulle diff NEW --context NAME: what would be applied', 2);
    const after = await readInput(context, { ...flags, file: paths });
    return [after.before ?? after, after];
  }
  const [before, after, ...rest] = paths;
  if (before === undefined || after === undefined || rest.length > 0)
    throw new CliError('write tulle diff OLD NEW, or tulle diff NEW --context NAME', 2);
  const both = [await readFiles(context, [before], flags), await readFiles(context, [after], flags)] as const;
  for (const [i, { facts }] of both.entries())
    if (facts.snapshot.services.length === 0)
      context.stderr.write(
        `tulle: ${paths[i]} has no Service, so nobody can be called in it: each side is a whole mesh\n`,
      );
  return both;
}

function toRespelledText({ before, after, services }: Respelling): string {
  return `same pattern, other spelling: ${before} is now ${after} at ${services.join(', ')}`;
}

function toText(context: CliContext, changes: readonly AccessChange[]): readonly string[] {
  if (changes.length === 0) return ['nobody gained or lost access'];
  const paint = paintFor(context);
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
