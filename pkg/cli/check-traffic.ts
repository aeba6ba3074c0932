import { randomBytes } from 'node:crypto';
import type { Call } from '../observability/call.ts';
import type { ControlPlane } from './check-control-plane.ts';
import {
  toTrialNamespace,
  toTrialObjects,
  trialLabel,
  type TrialOptions,
  trialPort,
  trialPrefix,
  trialUntil,
} from './check-objects.ts';
import type { CheckGroup, CheckReport } from './check-report.ts';
import type { ClusterAccess } from './cluster-access.ts';
import { forbidden, isForbidden, isRefusal } from './cluster-answers.ts';
import { type ContainerStatus, hasSidecar, isReady, type PodObject } from './cluster-pods.ts';
import { pause } from './pause.ts';

export interface TrafficCheckOptions {
  readonly waitMs: number;
  readonly signal: AbortSignal;
  readonly image?: string;
}

const askSeconds = 15;
/** Spans leave a sidecar in batches, and come by way of two parts. */
const spansMs = 15_000;

/** Proves that the mesh does what it is for: one request that passes and one that is denied, through sidecars. */
export async function checkTraffic(
  access: ClusterAccess,
  plane: ControlPlane,
  report: CheckReport,
  { waitMs, signal, image = plane.image }: TrafficCheckOptions,
): Promise<void> {
  const group = report.group('traffic');
  const options: TrialOptions = {
    namespace: `${trialPrefix}${randomBytes(3).toString('hex')}`,
    meshName: access.meshName,
    image,
    pullPolicy: plane.pullPolicy,
    until: new Date(Date.now() + waitMs + 60_000).toISOString(),
    askSeconds,
    traces: { allowed: randomBytes(16).toString('hex'), denied: randomBytes(16).toString('hex') },
    gate: plane.settings.fastStart === true,
  };
  try {
    await removeLeftovers(access);
    report.progress(`making namespace ${options.namespace}`);
    await create(access, options);
    const pods = await untilDone(access, options, report, { waitMs, signal });
    if (signal.aborted) return;
    if (options.gate) judgeGate(pods.gate?.pod, group);
    const ran = pods.allowed?.ended !== undefined && pods.denied?.ended !== undefined;
    if (!ran) {
      await explainUnfinished(access, options, pods, group, waitMs);
      return;
    }
    judge(pods, group);
    await checkSpans(plane, options, report, group, signal);
  } catch (error) {
    if (signal.aborted || !isRefusal(error)) throw error;
    const text =
      isForbidden(error) && !/admission webhook/.test(error.message) ? forbidden(error.message) : error.message;
    group.error('could not be tried', text, 'tulle check --no-traffic leaves this out');
  } finally {
    report.progress(`removing namespace ${options.namespace}`);
    await remove(access, options.namespace);
  }
}

async function create({ cluster }: ClusterAccess, options: TrialOptions): Promise<void> {
  await cluster.request('POST', '/api/v1/namespaces', { body: toTrialNamespace(options) });
  for (const { path, body } of toTrialObjects(options)) await cluster.request('POST', path, { body });
}

interface Trial {
  readonly pod: PodObject;
  /** How its container ended, when it did. */
  readonly ended?: { readonly exitCode: number; readonly status: number; readonly body: string };
}

type Trials = Readonly<Partial<Record<'server' | 'allowed' | 'denied' | 'gate', Trial>>>;

async function untilDone(
  { cluster }: ClusterAccess,
  { namespace, gate }: TrialOptions,
  report: CheckReport,
  { waitMs, signal }: { readonly waitMs: number; readonly signal: AbortSignal },
): Promise<Trials> {
  const end = Date.now() + waitMs;
  let trials: Trials = {};
  while (!signal.aborted) {
    const { items } = await cluster.request<{ readonly items: readonly PodObject[] }>(
      'GET',
      `/api/v1/namespaces/${namespace}/pods`,
    );
    trials = Object.fromEntries(items.map((pod) => [pod.metadata.name, toTrial(pod)]));
    const ran = trials.allowed?.ended !== undefined && trials.denied?.ended !== undefined;
    if (ran && (!gate || gateOf(trials.gate?.pod) !== 'untried')) break;
    if (Date.now() > end) break;
    report.progress(`trying in ${namespace}: ${items.map((pod) => `${pod.metadata.name} ${phaseOf(pod)}`).join(', ')}`);
    await pause(300, signal);
  }
  return trials;
}

function toTrial(pod: PodObject): Trial {
  const terminated = pod.status?.containerStatuses?.find(({ name }) => name === pod.metadata.name)?.state?.terminated;
  if (terminated === undefined) return { pod };
  return { pod, ended: { exitCode: terminated.exitCode, ...decodeSeen(terminated.message) } };
}

function decodeSeen(text: string | undefined): { status: number; body: string } {
  try {
    const { status, body } = JSON.parse(text ?? '') as { status?: unknown; body?: unknown };
    if (typeof status === 'number' && typeof body === 'string') return { status, body };
  } catch {
    // It ended before it could say.
  }
  return { status: 0, body: text ?? '' };
}

function phaseOf(pod: PodObject): string {
  const all = [...(pod.status?.initContainerStatuses ?? []), ...(pod.status?.containerStatuses ?? [])];
  const waiting = all.find(
    ({ state }) => state?.waiting?.reason !== undefined && state.waiting.reason !== 'PodInitializing',
  );
  return waiting?.state?.waiting?.reason ?? (isReady(pod) ? 'ready' : (pod.status?.phase ?? 'unknown').toLowerCase());
}

function judge({ server, allowed, denied }: Trials, group: CheckGroup): void {
  const bare = [server, allowed, denied].filter((trial) => trial !== undefined && !hasSidecar(trial.pod));
  if (bare.length > 0) {
    const names = bare.map((trial) => trial?.pod.metadata.name).join(', ');
    group.error(
      'injection',
      `${names} started without a sidecar`,
      'kubectl get mutatingwebhookconfigurations; is the webhook reached?',
    );
    return;
  }
  group.ok('pods get sidecars and start');
  const [yes, no] = [allowed?.ended, denied?.ended];
  if (yes?.status === 200) group.ok('what a TrafficTarget allows passes', 'answered 200');
  else
    group.error(
      'what a TrafficTarget allows passes',
      `it was answered ${yes?.status === 0 ? 'not at all' : yes?.status}: ${(yes?.body ?? '').trim()}`,
      'tulle proxy status shows whether the sidecars have the policy',
    );
  if (no?.status === 403)
    group.ok('what none allows is denied', `answered 403: ${no.body.trim().split('\n')[0] ?? ''}`);
  else
    group.error(
      'what none allows is denied',
      no?.status === 200
        ? 'it was let through'
        : `it was answered ${no?.status || 'not at all'}: ${(no?.body ?? '').trim()}`,
      no?.status === 200
        ? 'policy is not enforced: check that nothing takes the traffic past the sidecars, as another CNI may'
        : 'tulle proxy status shows whether the sidecars have the policy',
    );
}

/** How a container fared that is behind a gate which nobody opens. */
function gateOf(pod: PodObject | undefined): 'untried' | 'holds' | 'open' {
  const [container] = pod?.status?.containerStatuses ?? [];
  const { waiting, terminated, running } = container?.state ?? {};
  const refused = /tulle-start.*read-only file system/.test(`${waiting?.message} ${terminated?.message}`);
  if (refused) return 'holds';
  return running !== undefined || terminated !== undefined ? 'open' : 'untried';
}

function judgeGate(pod: PodObject | undefined, group: CheckGroup): void {
  const what = 'an app that starts fast waits for its sidecar';
  switch (gateOf(pod)) {
    case 'holds':
      return group.ok(what, 'without one it is not started');
    case 'open':
      return group.error(
        what,
        'it is started without one: the containers of this cluster are not made by runc',
        'helm upgrade … --set injection.fastStart=false, and roll the workloads',
      );
    default:
      return group.warning(what, `could not be tried: pod gate is ${pod ? phaseOf(pod) : 'missing'}`, 'run it again');
  }
}

/** The two calls, as the sidecars reported them. They ask to be traced, whatever the sampling. */
async function checkSpans(
  { api, settings }: ControlPlane,
  { namespace, traces }: TrialOptions,
  report: CheckReport,
  group: CheckGroup,
  signal: AbortSignal,
): Promise<void> {
  const end = Date.now() + spansMs;
  const wanted = new Set<string>([traces.allowed, traces.denied]);
  const service = `${namespace}/server:${trialPort}`;
  while (!signal.aborted) {
    const lists = await api.getEach<readonly Call[]>('/api/requests?since=10m&limit=50000', 30_000);
    for (const call of lists.flat()) if (call.service === service) wanted.delete(call.traceId);
    if (wanted.size === 0) break;
    if (Date.now() > end) break;
    report.progress('waiting for the traces of the two requests');
    await pause(500, signal);
  }
  if (signal.aborted) return;
  const sent = settings.collector === undefined ? '' : `, and sent on to ${settings.collector}`;
  if (wanted.size === 0) group.ok('both requests are traced', `read back from the control plane${sent}`);
  else
    group.error(
      'both requests are traced',
      `${wanted.size} of 2 did not come within ${spansMs / 1000} s`,
      'sidecars report to port 15129 of the controller: does a NetworkPolicy keep them from it?',
    );
}

/** Says which pod stands where, and what its events and states tell. */
async function explainUnfinished(
  { cluster }: ClusterAccess,
  { namespace }: TrialOptions,
  trials: Trials,
  group: CheckGroup,
  waitMs: number,
): Promise<void> {
  const { items: events } = await cluster
    .request<{
      readonly items: readonly {
        readonly type?: string;
        readonly message?: string;
        readonly involvedObject?: { readonly name?: string };
      }[];
    }>('GET', `/api/v1/namespaces/${namespace}/events`)
    .catch(() => ({ items: [] }));
  const found = new Map<string, string[]>();
  for (const { pod, ended } of Object.values(trials)) {
    const { name } = pod.metadata;
    if (ended !== undefined || name === 'gate' || (name === 'server' && isReady(pod))) continue;
    const warnings = events.filter(({ type, involvedObject }) => type === 'Warning' && involvedObject?.name === name);
    const said = [...warnings.map(({ message }) => message ?? ''), ...messagesOf(pod)].filter((text) => text !== '');
    const text = said.length === 0 ? phaseOf(pod) : (said[0] ?? '').slice(0, 400);
    found.set(text, [...(found.get(text) ?? []), name]);
  }
  for (const [text, names] of found) {
    group.error(
      `${names.length === 1 ? 'pod' : 'pods'} ${names.join(', ')}`,
      `not done after ${waitMs / 1000} s: ${text}`,
      /pull|image/i.test(text)
        ? '--image says where the image of the controller can be pulled from'
        : 'a slow cluster may need more: --wait 3m',
    );
  }
}

function messagesOf({ status }: PodObject): readonly string[] {
  const all: readonly ContainerStatus[] = [
    ...(status?.initContainerStatuses ?? []),
    ...(status?.containerStatuses ?? []),
  ];
  const said = all.flatMap(({ state }) => {
    const text = state?.waiting?.message ?? state?.terminated?.message;
    return text === undefined || text === '' ? [] : [text];
  });
  const unscheduled = status?.conditions?.find(({ type, status: is }) => type === 'PodScheduled' && is === 'False');
  return [...(unscheduled?.message === undefined ? [] : [unscheduled.message]), ...said];
}

/** What runs that were killed left behind. */
async function removeLeftovers(access: ClusterAccess): Promise<void> {
  const { items } = await access.cluster.request<{
    readonly items: readonly {
      readonly metadata: { readonly name: string; readonly annotations?: Readonly<Record<string, string>> };
    }[];
  }>('GET', '/api/v1/namespaces', { query: { labelSelector: trialLabel } });
  const now = new Date().toISOString();
  for (const { metadata } of items) {
    // A label alone is soon copied, or put where it does harm: a namespace of somebody else is never taken away.
    if (!metadata.name.startsWith(trialPrefix)) continue;
    const until = metadata.annotations?.[trialUntil];
    if (until === undefined || until < now) await remove(access, metadata.name);
  }
}

/** Without waiting for its end. Never fails: what was found out is worth more. */
async function remove({ cluster }: ClusterAccess, namespace: string): Promise<void> {
  const path = `/api/v1/namespaces/${namespace}`;
  // Pods first, at once: a namespace waits for them as long as they ask for.
  await cluster.request('DELETE', `${path}/pods`, { query: { gracePeriodSeconds: 0 } }).catch(() => undefined);
  await cluster.request('DELETE', path).catch(() => undefined);
}
