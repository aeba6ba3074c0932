import type { CliContext } from './context.ts';
import { parseDuration } from './duration.ts';
import { runSession, untilAborted } from './mesh-session.ts';
import type { UpFlags } from './program.ts';

/** `tulle up -f DIR`: until Ctrl-C, or for `--run-for`. 1 when something can't run or is broken at the end of its time. */
export async function runUp(context: CliContext, flags: UpFlags): Promise<number> {
  if (flags.runFor !== undefined) parseDuration(flags.runFor);
  return runSession(context, flags, async ({ mesh, ended, interrupted }) => {
    await untilAborted(ended);
    if (interrupted()) return 0;
    const broken =
      mesh.problems().some(({ severity }) => severity === 'error') ||
      mesh.pods().some(({ status }) => !status.ready && status.phase !== 'Succeeded');
    return broken ? 1 : 0;
  });
}
