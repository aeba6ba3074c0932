import { checkCluster } from './check-cluster.ts';
import { checkControlPlane } from './check-control-plane.ts';
import { checkMesh } from './check-mesh.ts';
import { checkBeforeInstall } from './check-pre.ts';
import { type CheckReport, createCheckReport } from './check-report.ts';
import { checkTraffic } from './check-traffic.ts';
import { type ClusterAccess, withCluster } from './cluster-access.ts';
import type { ClusterFlags } from './cluster-flags.ts';
import type { CliContext } from './context.ts';
import { parseDuration } from './duration.ts';
import { orTwo, writeJson, writeLines } from './mesh-input.ts';
import { plural } from './plural.ts';

export interface CheckFlags extends ClusterFlags {
  readonly pre?: boolean;
  readonly traffic: boolean;
  readonly image?: string;
  readonly wait: string;
  readonly output: 'text' | 'json';
}

/** `tulle check`: 0 all is well (warnings may be there), 1 something is wrong, 2 could not look. */
export function runCheck(context: CliContext, flags: CheckFlags): Promise<number> {
  return orTwo(async () => {
    const waitMs = parseDuration(flags.wait);
    const report = createCheckReport(context, flags.output);
    const interrupted = new AbortController();
    const stopListening = context.onSignal(() => {
      // Once more, and what was created stays: the next run removes it.
      if (interrupted.signal.aborted) context.exit(130);
      interrupted.abort();
    });
    try {
      await withCluster(context, flags, (access) =>
        flags.pre === true
          ? checkBeforeInstall(access, report)
          : checkAll(context, access, flags, { report, waitMs, signal: interrupted.signal }),
      );
    } finally {
      stopListening();
    }
    return conclude(context, report, flags, interrupted.signal.aborted);
  });
}

async function checkAll(
  context: CliContext,
  access: ClusterAccess,
  flags: CheckFlags,
  { report, waitMs, signal }: { readonly report: CheckReport; readonly waitMs: number; readonly signal: AbortSignal },
): Promise<void> {
  await checkCluster(access, report);
  const plane = await checkControlPlane(context, access, report);
  if (plane === undefined) return;
  await checkMesh(access, plane, report, signal);
  if (!flags.traffic || signal.aborted) return;
  await checkTraffic(access, plane, report, {
    waitMs,
    signal,
    ...(flags.image !== undefined && { image: flags.image }),
  });
}

function conclude(context: CliContext, { results }: CheckReport, { output }: CheckFlags, interrupted: boolean): number {
  const count = (wanted: 'warning' | 'error'): number => results.filter(({ status }) => status === wanted).length;
  const [errors, warnings] = [count('error'), count('warning')];
  const ok = errors === 0 && !interrupted;
  if (output === 'json') writeJson(context, { ok, checks: results });
  else {
    const words = [
      ...(interrupted ? ['broken off'] : []),
      ...(errors > 0 ? [`${plural(errors, 'thing')} wrong`] : []),
      ...(warnings > 0 ? [plural(warnings, 'warning')] : []),
    ];
    writeLines(context, ['', words.length === 0 ? 'all is well' : words.join(', ')]);
  }
  return interrupted ? 2 : ok ? 0 : 1;
}
