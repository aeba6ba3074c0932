import type { ClusterAccess } from './cluster-access.ts';
import { isAbsent, isForbidden } from './cluster-answers.ts';
import { toOneLine } from './cluster-text.ts';

/** A workload that lacks pods, since the API server refuses them. */
export interface RefusedWorkload {
  readonly kind: string;
  readonly name: string;
  /** Pods that are there, and wanted. Absent: it may not be read. */
  readonly pods?: { readonly there: number; readonly wanted: number };
  /** What its controller was answered last. */
  readonly message: string;
}

interface EventObject {
  readonly metadata: { readonly creationTimestamp?: string };
  readonly reason?: string;
  readonly message?: string;
  readonly lastTimestamp?: string | null;
  readonly eventTime?: string | null;
  readonly series?: { readonly lastObservedTime?: string };
  readonly involvedObject?: { readonly kind?: string; readonly name?: string };
}

/** The API server keeps events for an hour by default; a controller tries anew each 16 minutes at the latest. */
const freshMs = 3_600_000;
const mostEvents = 500;
/** Each is asked for, to see whether it has its pods meanwhile. */
const mostWorkloads = 50;

const places: Readonly<Record<string, string>> = {
  ReplicaSet: 'apis/apps/v1/replicasets',
  StatefulSet: 'apis/apps/v1/statefulsets',
  DaemonSet: 'apis/apps/v1/daemonsets',
  ReplicationController: 'api/v1/replicationcontrollers',
  Job: 'apis/batch/v1/jobs',
};

/** Workloads of a namespace whose pods were refused in the last hour, newest first, and still are. Undefined: events may not be read. */
export async function findRefusedWorkloads(
  { cluster }: Pick<ClusterAccess, 'cluster'>,
  namespace: string,
  signal: AbortSignal,
): Promise<readonly RefusedWorkload[] | undefined> {
  let items: readonly EventObject[];
  try {
    ({ items } = await cluster.request<{ readonly items: readonly EventObject[] }>(
      'GET',
      `/api/v1/namespaces/${namespace}/events`,
      { query: { fieldSelector: 'reason=FailedCreate', limit: mostEvents }, signal },
    ));
  } catch (error) {
    if (isForbidden(error)) return undefined;
    throw error;
  }
  const newest = newestOfEach(items).slice(0, mostWorkloads);
  const found = await Promise.all(
    newest.map(({ kind, name, message }) => judge(cluster, namespace, { kind, name, message }, signal)),
  );
  return found.filter((each) => each !== undefined);
}

interface Refusal {
  readonly kind: string;
  readonly name: string;
  readonly message: string;
  readonly time: number;
}

function newestOfEach(events: readonly EventObject[]): readonly Refusal[] {
  const since = Date.now() - freshMs;
  const refusals = events
    .filter(({ reason }) => reason === 'FailedCreate')
    .map((event) => ({
      kind: event.involvedObject?.kind ?? '',
      name: event.involvedObject?.name ?? '',
      message: toOneLine((event.message ?? '').replace('(combined from similar events): ', '')),
      time: timeOf(event),
    }))
    .filter(({ kind, name, time }) => Object.hasOwn(places, kind) && name !== '' && time >= since)
    .sort((a, b) => b.time - a.time);
  const byWorkload = new Map<string, Refusal>();
  for (const each of refusals) {
    const key = `${each.kind} ${each.name}`;
    if (!byWorkload.has(key)) byWorkload.set(key, each);
  }
  return [...byWorkload.values()];
}

/** Which of the fields is set depends on who wrote it. */
function timeOf({ series, lastTimestamp, eventTime, metadata }: EventObject): number {
  return Date.parse(series?.lastObservedTime ?? lastTimestamp ?? eventTime ?? metadata.creationTimestamp ?? '');
}

interface WorkloadObject {
  readonly metadata: { readonly deletionTimestamp?: string };
  readonly spec?: {
    readonly replicas?: number;
    readonly parallelism?: number;
    readonly completions?: number;
    readonly suspend?: boolean;
  };
  readonly status?: {
    readonly replicas?: number;
    readonly desiredNumberScheduled?: number;
    readonly currentNumberScheduled?: number;
    readonly active?: number;
    readonly succeeded?: number;
    readonly conditions?: readonly { readonly type: string; readonly status: string }[];
  };
}

/** Undefined: it has its pods, or wants none any more. */
async function judge(
  cluster: ClusterAccess['cluster'],
  namespace: string,
  { kind, name, message }: Pick<Refusal, 'kind' | 'name' | 'message'>,
  signal: AbortSignal,
): Promise<RefusedWorkload | undefined> {
  const place = places[kind] ?? '';
  const cut = place.lastIndexOf('/');
  try {
    const object = await cluster.request<WorkloadObject>(
      'GET',
      `/${place.slice(0, cut)}/namespaces/${namespace}${place.slice(cut)}/${encodeURIComponent(name)}`,
      { signal },
    );
    const pods = object.metadata.deletionTimestamp === undefined ? countPods(kind, object) : { there: 0, wanted: 0 };
    return pods.there < pods.wanted ? { kind, name, pods, message } : undefined;
  } catch (error) {
    if (isAbsent(error)) return undefined;
    if (isForbidden(error)) return { kind, name, message };
    throw error;
  }
}

function countPods(kind: string, { spec = {}, status = {} }: WorkloadObject): { there: number; wanted: number } {
  if (kind === 'DaemonSet')
    return { there: status.currentNumberScheduled ?? 0, wanted: status.desiredNumberScheduled ?? 0 };
  if (kind !== 'Job') return { there: status.replicas ?? 0, wanted: spec.replicas ?? 1 };
  const isOver = status.conditions?.some(
    ({ type, status: is }) => (type === 'Complete' || type === 'Failed') && is === 'True',
  );
  if (isOver === true || spec.suspend === true) return { there: 0, wanted: 0 };
  const left = spec.completions === undefined ? Infinity : spec.completions - (status.succeeded ?? 0);
  return { there: status.active ?? 0, wanted: Math.min(spec.parallelism ?? 1, left) };
}
