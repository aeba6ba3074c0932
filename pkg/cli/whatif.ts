import type { MeshFacts } from '../explain/mesh-facts.ts';
import { whatIf } from '../suggest/what-if.ts';
import { type ClusterFlags, clusterFlagsOf, meansCluster } from './cluster-flags.ts';
import { CliError, type CliContext } from './context.ts';
import { type MeshInput, orTwo, readFiles, readInput, writeJson, writeLines } from './mesh-input.ts';
import { overlay } from './overlay.ts';
import { readRecorded, toRecordedSince, warnIfCut } from './recorded-calls.ts';
import { paintFor } from './table.ts';
import { callsText, describeChanges } from './what-if-text.ts';

export interface WhatIfFlags extends ClusterFlags {
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
    const recorded = await readRecorded(context, flags, flags.since);
    const { calls } = recorded;
    // JSON has it in a field.
    if (calls.length === 0 || flags.output !== 'json') warnIfCut(context, recorded);
    if (calls.length === 0) throw new CliError(`the mesh recorded no calls in the last ${flags.since}`, 2);
    const { file, namespace } = flags;
    const now = await readInput(context, { ...clusterFlagsOf(flags), ...(namespace !== undefined && { namespace }) });
    // As it runs, unless told otherwise.
    const files = await readFiles(context, file, flags, now.facts.snapshot.config);
    const result = whatIf(calls, now.facts, toNext(now, files, meansCluster(flags)));
    if (flags.output === 'json') {
      writeJson(context, { ...result, unknown: Object.fromEntries(result.unknown), ...toRecordedSince(recorded) });
    } else {
      const paint = paintFor(context);
      const { denied, allowed, unchanged, unknown, replayed } = result;
      writeLines(context, [
        `replayed ${callsText(replayed)} of the last ${flags.since} against ${flags.file.join(' ')}`,
        ...describeChanges('newly denied', denied, paint.bad, paint),
        ...describeChanges('newly allowed', allowed, paint.good, paint),
        ...[...unknown].map(([why, count]) => `not judged: ${callsText(count)}: ${why}`),
        `${callsText(unchanged)} as before`,
      ]);
    }
    return result.denied.length > 0 ? 1 : 0;
  });
}

/**
 * On this machine files with Services are a mesh of their own. All others are laid over the mesh that runs, as they would
 * be when they are applied.
 */
function toNext(now: MeshInput, files: MeshInput, isCluster: boolean): MeshFacts {
  return !isCluster && files.facts.snapshot.services.length > 0 ? files.facts : overlay(now, files).facts;
}
