import { type Call, mergeCalls } from '../observability/call.ts';
import type { Flow } from '../observability/flows.ts';
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
 * What several controllers recorded, oldest first. They hand on to each other what they are told, so that each call is
 * there once for each, but for those that came before one of them, or were lost on the way. Each joins the two sides of a
 * call that it knows of; those that only two of them know are joined here.
 */
export function joinCalls(lists: readonly (readonly Call[])[]): readonly Call[] {
  if (lists.length > 1) {
    const all = onceEach(lists.flat());
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
  return inOrder(lists.flat());
}

/** Of what was told twice, that which says more. */
function onceEach(calls: readonly Call[]): readonly Call[] {
  const known = new Map<string, Call>();
  for (const call of calls) {
    const id = `${call.observer} ${call.traceId} ${call.spanId}`;
    const before = known.get(id);
    if (before === undefined || contentOf(call) > contentOf(before)) known.set(id, call);
  }
  return [...known.values()];
}

const contentOf = (call: Call): number => Object.values(call).filter((value) => value !== '').length;

/** The same for flows: of one that several counted, the greatest count. */
export function joinFlows(lists: readonly (readonly Flow[])[]): readonly Flow[] {
  const known = new Map<string, Flow>();
  for (const flow of lists.flat()) {
    const { source, service, destination, split, backend, protocol, verdict, reason, rule } = flow;
    const id = [source, service, destination, split, backend, protocol, verdict, reason, rule].join(' ');
    if (flow.requests > (known.get(id)?.requests ?? -1)) known.set(id, flow);
  }
  return [...known.values()];
}

function inOrder(calls: readonly Call[]): readonly Call[] {
  return [...calls].sort((a, b) => a.time - b.time);
}

/** Said where not everything was looked at. */
export function warnIfCut({ stderr }: CliContext, calls: readonly Call[]): void {
  if (calls.length >= most) stderr.write(`tulle: only the newest ${most} calls were looked at\n`);
}
