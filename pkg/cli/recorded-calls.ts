import { type Call, mergeCalls, recordedSinceHeader } from '../observability/call.ts';
import type { Flow } from '../observability/flows.ts';
import { withCluster } from './cluster-access.ts';
import { type ClusterFlags, meansCluster } from './cluster-flags.ts';
import type { CliContext } from './context.ts';
import type { ControllerApi } from './controller-api.ts';
import { type Answer, getAnswer } from './mesh-client.ts';
import { findRunningMesh } from './mesh-input.ts';

/** What a mesh recorded. */
export interface Recorded {
  /** Oldest first. */
  readonly calls: readonly Call[];
  /** From when on they are all there, where that is not as far back as was asked for: controllers keep so many and no more. */
  readonly since?: Date;
}

/** What the running mesh has recorded, that of a cluster or of this machine. */
export async function readRecorded(context: CliContext, flags: ClusterFlags, since: string): Promise<Recorded> {
  const path = requestsPath(since);
  if (meansCluster(flags)) {
    return withCluster(context, flags, async (access) => {
      const { openControllerApi } = await import('./controller-api.ts');
      return recordedBy(await openControllerApi(access), since);
    });
  }
  return toRecorded([await getAnswer<readonly Call[]>(findRunningMesh(context).api, path, 20_000)]);
}

/** The calls alone, for who looks for one that is there. */
export async function recordedCalls(context: CliContext, flags: ClusterFlags, since: string): Promise<readonly Call[]> {
  return (await readRecorded(context, flags, since)).calls;
}

/** What the controllers of a cluster have recorded. */
export async function recordedBy(api: Pick<ControllerApi, 'askEach'>, since: string): Promise<Recorded> {
  return toRecorded(await api.askEach<readonly Call[]>(requestsPath(since), 60_000));
}

/** All that a controller keeps: as much as it hands out. */
function requestsPath(since: string): string {
  return `/api/requests?since=${since}&limit=50000`;
}

/** Controllers hand on to each other what they are told: what the one that reaches back farthest has is all there is. */
function toRecorded(answers: readonly Answer<readonly Call[]>[]): Recorded {
  const calls = joinCalls(answers.map(({ value }) => value));
  const since = answers.map(({ headers }) => Date.parse(String(headers[recordedSinceHeader])));
  return { calls, ...(since.every((time) => time > 0) && { since: new Date(Math.min(...since)) }) };
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

/** Said where calls are missing that were asked for. Of another day with its date. */
export function describeSince({ since }: Recorded): readonly string[] {
  if (since === undefined) return [];
  const two = (number: number): string => String(number).padStart(2, '0');
  const day = [since.getFullYear(), since.getMonth() + 1, since.getDate()].map(two).join('-');
  const time = [since.getHours(), since.getMinutes(), since.getSeconds()].map(two).join(':');
  const isToday = since.toDateString() === new Date().toDateString();
  return [`recorded only since ${isToday ? '' : `${day} `}${time}: what was called before is not known`];
}

export function warnIfCut({ stderr }: CliContext, recorded: Recorded): void {
  for (const line of describeSince(recorded)) stderr.write(`tulle: ${line}\n`);
}

/** The same as part of an answer in JSON. */
export function toRecordedSince({ since }: Recorded): { readonly recordedSince?: string } {
  return since === undefined ? {} : { recordedSince: since.toISOString() };
}
