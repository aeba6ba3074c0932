import type { MeshReport } from '../dashboard/dashboard.ts';
import type { Problem } from '../problem/problem.ts';
import type { CliContext } from './context.ts';
import { parseDuration } from './duration.ts';
import { getJson } from './mesh-client.ts';
import { runSession } from './mesh-session.ts';
import type { PodView } from './mesh-view.ts';
import type { UpFlags } from './program.ts';
import { untilAborted } from './until-aborted.ts';

/** `tulle up -f DIR`: until Ctrl-C, or for `--run-for`. 1 when something can't run or is broken at the end of its time. */
export async function runUp(context: CliContext, flags: UpFlags): Promise<number> {
  if (flags.runFor !== undefined) parseDuration(flags.runFor);
  return runSession(context, flags, async ({ mesh, ended, interrupted, say }) => {
    await untilAborted(ended);
    if (interrupted()) return 0;
    const problems = [...mesh.problems(), ...(await problemsOfController(mesh.api))];
    const errors = problems.filter(({ severity }) => severity === 'error').length;
    const wanted = mesh.wanted();
    const waiting = notReady(wanted?.pods ?? [], mesh.pods());
    if (errors > 0) say(`at the end: ${errors} error${errors === 1 ? '' : 's'}, as told above`);
    if (!wanted) say('at the end the files had not been read: give it more time');
    if (waiting.length > 0) say(`at the end not ready: ${waiting.join(', ')}`);
    return errors > 0 || !wanted || waiting.length > 0 ? 1 : 0;
  });
}

/** The pods that run and are not ready, and those that are wanted and do not run yet; what has done its work is fine. */
export function notReady(wanted: readonly string[], pods: readonly PodView[]): readonly string[] {
  const states = new Map(wanted.map((pod) => [pod, false]));
  for (const { plan, status } of pods)
    states.set(`${plan.namespace}/${plan.name}`, status.ready || status.phase === 'Succeeded');
  return [...states].flatMap(([pod, ready]) => (ready ? [] : [pod]));
}

/** What is wrong in the objects of SMI is known by the controller. One that does not answer is no fault of the files. */
async function problemsOfController(api: string): Promise<readonly Problem[]> {
  try {
    return (await getJson<MeshReport>(api, '/api/mesh')).problems ?? [];
  } catch {
    return [];
  }
}
