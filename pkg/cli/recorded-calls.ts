import type { Call } from '../observability/call.ts';
import type { CliContext } from './context.ts';
import { CliError } from './context.ts';
import type { RunningMesh } from './find-mesh.ts';
import { getJson } from './mesh-client.ts';

/** The most that a controller hands out. */
const most = 50_000;

/** What the running mesh has recorded, oldest first. */
export async function recordedCalls({ api }: RunningMesh, since: string): Promise<readonly Call[]> {
  if (!/^(\d+(\.\d+)?(ms|s|m|h))+$/.test(since))
    throw new CliError(`"${since}" is not a duration: write 30s, 10m or 1h`, 2);
  const calls = await getJson<readonly Call[]>(api, `/api/requests?since=${since}&limit=${most}`, 20_000);
  return [...calls].reverse();
}

/** Said where not everything was looked at. */
export function warnIfCut({ stderr }: CliContext, calls: readonly Call[]): void {
  if (calls.length >= most) stderr.write(`tulle: only the newest ${most} calls were looked at\n`);
}
