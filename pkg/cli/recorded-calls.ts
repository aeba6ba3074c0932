import { type Call, mergeCalls } from '../observability/call.ts';
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
      return joinCalls(await api.getEach<readonly Call[]>(path, 60_000));
    });
  }
  return joinCalls([await getJson<readonly Call[]>(findRunningMesh(context).api, path, 20_000)]);
}

/**
 * What several controllers recorded, oldest first. Each joins the two sides of a call that were reported to it; those
 * that went to two of them are joined here.
 */
export function joinCalls(lists: readonly (readonly Call[])[]): readonly Call[] {
  const all = lists.flat();
  if (lists.length > 1) {
    const keyOf = ({ traceId, source, method, path }: Call): string => `${traceId} ${source} ${method} ${path}`;
    const servers = new Map<string, Call[]>();
    for (const call of all) {
      if (call.observer === 'server') servers.set(keyOf(call), [...(servers.get(keyOf(call)) ?? []), call]);
    }
    const clients = all
      .filter(({ observer }) => observer === 'client')
      .map((client) => {
        const server = servers.get(keyOf(client))?.shift();
        return server === undefined ? client : mergeCalls(client, server);
      });
    return inOrder([...clients, ...[...servers.values()].flat()]);
  }
  return inOrder(all);
}

function inOrder(calls: readonly Call[]): readonly Call[] {
  return [...calls].sort((a, b) => a.time - b.time);
}

/** Said where not everything was looked at. */
export function warnIfCut({ stderr }: CliContext, calls: readonly Call[]): void {
  if (calls.length >= most) stderr.write(`tulle: only the newest ${most} calls were looked at\n`);
}
