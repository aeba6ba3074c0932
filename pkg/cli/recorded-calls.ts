import type { Call } from '../observability/call.ts';
import { withCluster } from './cluster-access.ts';
import { type ClusterFlags, meansCluster } from './cluster-flags.ts';
import type { CliContext } from './context.ts';
import { CliError } from './context.ts';
import { findRunningMesh } from './mesh-input.ts';
import { getJson } from './mesh-client.ts';

/** The most that a controller hands out. */
const most = 50_000;

/** What the running mesh has recorded, that of a cluster or of this machine, oldest first. */
export async function recordedCalls(context: CliContext, flags: ClusterFlags, since: string): Promise<readonly Call[]> {
  if (!/^(\d+(\.\d+)?(ms|s|m|h))+$/.test(since))
    throw new CliError(`"${since}" is not a duration: write 30s, 10m or 1h`, 2);
  const path = `/api/requests?since=${since}&limit=${most}`;
  if (meansCluster(flags)) {
    return withCluster(context, flags, async (access) => {
      const { openControllerApi } = await import('./controller-api.ts');
      const api = await openControllerApi(access);
      return oldestFirst((await api.getEach<readonly Call[]>(path, 60_000)).flat());
    });
  }
  return oldestFirst(await getJson<readonly Call[]>(findRunningMesh(context).api, path, 20_000));
}

export function oldestFirst(calls: readonly Call[]): readonly Call[] {
  return [...calls].sort((a, b) => a.time - b.time);
}

/** Said where not everything was looked at. */
export function warnIfCut({ stderr }: CliContext, calls: readonly Call[]): void {
  if (calls.length >= most) stderr.write(`tulle: only the newest ${most} calls were looked at\n`);
}
