import { createHash } from 'node:crypto';
import type { Clock } from '../../certs/clock.ts';
import type { Logger } from '../../observability/logger.ts';
import type { Problem, ResourceRef } from '../../problem/problem.ts';
import type { Cluster } from './cluster.ts';
import { ClusterError } from './cluster-error.ts';

export interface EventWriterOptions {
  readonly cluster: Pick<Cluster, 'request'>;
  /** The object that a problem is about; an Event without its uid would be shown by nobody. */
  readonly findObject: (resource: ResourceRef) => { readonly uid: string; readonly apiVersion: string } | undefined;
  /** Name of this process: the pod's. */
  readonly instance: string;
  /** Writing is for one replica at a time: ends with its term. */
  readonly signal: AbortSignal;
  readonly clock: Clock;
  readonly log: Logger;
}

export interface EventWriter {
  /** All the problems that there are now; those that are gone are not told of any more. Never throws. */
  report(problems: readonly Problem[]): void;
  /** Settles when the signal has been aborted. */
  readonly done: Promise<void>;
}

/** As `source` of each Event, for `kubectl get events --field-selector source=tulle-controller`. */
const component = 'tulle-controller';
/** Kubernetes forgets Events after an hour: what is still wrong is said again before. */
const repeatMs = 40 * 60_000;
/** One Event is not written more often, whatever flaps. */
const leastMs = 60_000;
/** Writes of a minute: a mesh of a thousand broken objects must not be a burden. */
const perMinute = 120;
/** More problems than this are on the page and in the log only. */
const maxEvents = 2_000;
const maxMessage = 1_000;

/** An object that has a problem: one made anew under its name is another. */
interface Wanted {
  readonly problem: Problem;
  readonly uid: string;
  readonly apiVersion: string;
}

/** An Event that exists, as far as is known. */
interface Written {
  /** Undefined: it could not be written. */
  readonly count: number | undefined;
  readonly message: string;
  readonly at: number;
  /** The problem was gone in between. */
  wasGone: boolean;
}

/**
 * Keeps an Event on each object that has a problem: one per object, reason and field, whose count goes up while the
 * problem lasts. Errors are logged and stop nothing. Needs `create` and `patch` on core/v1 Events.
 */
export function runEventWriter(options: EventWriterOptions): EventWriter {
  const { cluster, findObject, instance, signal, clock, log } = options;
  let wanted: ReadonlyMap<string, Wanted> = new Map();
  const written = new Map<string, Written>();
  let budget = perMinute;
  let refilledAt = clock.now();
  let wake = (): void => undefined;
  let refusals = 0;

  function dueAt(key: string, { problem }: Wanted): number {
    const last = written.get(key);
    if (last === undefined) return 0;
    const isSame = last.count !== undefined && !last.wasGone && last.message === messageOf(problem);
    return last.at + (isSame ? repeatMs : leastMs);
  }

  function next(): { readonly key: string; readonly wanted: Wanted; readonly due: number } | undefined {
    let found: ReturnType<typeof next>;
    for (const [key, each] of wanted) {
      const due = dueAt(key, each);
      if (found === undefined || due < found.due) found = { key, wanted: each, due };
    }
    return found;
  }

  async function until(time: number | undefined): Promise<void> {
    await new Promise<void>((resolve) => {
      const callOff = time === undefined ? (): void => undefined : clock.at(time, () => wake());
      wake = () => {
        callOff();
        resolve();
      };
      signal.addEventListener('abort', wake, { once: true });
      if (signal.aborted) wake();
    });
    signal.removeEventListener('abort', wake);
  }

  /** Undefined: there is something left to spend. */
  function exhaustedUntil(): number | undefined {
    const now = clock.now();
    budget = Math.min(perMinute, budget + ((now - refilledAt) / 60_000) * perMinute);
    refilledAt = now;
    return budget >= 1 ? undefined : now + ((1 - budget) / perMinute) * 60_000;
  }

  async function write(key: string, each: Wanted): Promise<void> {
    const event = toEvent(each, instance, clock.now());
    const { message } = event;
    const last = written.get(key);
    budget -= 1;
    let count: number | undefined;
    try {
      count = last?.count === undefined ? await create(event) : await change(event, last.count + 1);
      refusals = 0;
    } catch (error) {
      refused(error);
    }
    written.delete(key);
    written.set(key, { count, message, at: clock.now(), wasGone: false });
    // The oldest go first; Events that are still wanted come again when they are due.
    for (const [old] of written) {
      if (written.size <= 2 * maxEvents) break;
      written.delete(old);
    }
  }

  async function create(event: KubernetesEvent): Promise<number> {
    try {
      await cluster.request('POST', eventsPath(event), { body: event, signal, timeoutMs: 10_000 });
      return event.count;
    } catch (error) {
      if (!(error instanceof ClusterError) || error.reason !== 'AlreadyExists') throw error;
      return change(event, undefined);
    }
  }

  /** Without a count, of an Event that another process wrote: it is left as it is, and learnt. */
  async function change(event: KubernetesEvent, count: number | undefined): Promise<number> {
    const { lastTimestamp, message, type } = event;
    const body = { lastTimestamp, message, type, ...(count !== undefined && { count }) };
    try {
      const path = `${eventsPath(event)}/${event.metadata.name}`;
      const contentType = 'application/merge-patch+json';
      const answer = await cluster.request<{ count?: unknown }>('PATCH', path, {
        body,
        contentType,
        signal,
        timeoutMs: 10_000,
      });
      return typeof answer.count === 'number' ? answer.count : (count ?? 1);
    } catch (error) {
      // It had expired.
      if (count === undefined || !(error instanceof ClusterError) || error.status !== 404) throw error;
      return create({ ...event, count });
    }
  }

  function refused(error: unknown): void {
    if (signal.aborted) return;
    refusals += 1;
    // A namespace that is being deleted refuses as well.
    if (refusals === 1) log.warn('an Event could not be written; the problem is in the log and on the page', { error });
    else log.debug('an Event could not be written', { error });
  }

  async function run(): Promise<void> {
    while (!signal.aborted) {
      const first = next();
      if (first === undefined || first.due > clock.now()) {
        await until(first?.due);
        continue;
      }
      const exhausted = exhaustedUntil();
      if (exhausted === undefined) await write(first.key, first.wanted);
      else await until(exhausted);
    }
  }

  return {
    report(problems) {
      const all = new Map<string, Wanted>();
      for (const problem of problems) {
        if (all.size >= maxEvents) break;
        const object = findObject(problem.resource);
        if (object) all.set(keyOf(problem, object.uid), { problem, ...object });
      }
      for (const key of wanted.keys()) {
        const last = all.has(key) ? undefined : written.get(key);
        if (last) last.wasGone = true;
      }
      wanted = all;
      wake();
    },
    done: run(),
  };
}

interface KubernetesEvent {
  readonly metadata: { readonly name: string; readonly namespace: string };
  readonly message: string;
  readonly type: string;
  readonly lastTimestamp: string;
  readonly count: number;
  readonly [field: string]: unknown;
}

function keyOf({ reason, field }: Problem, uid: string): string {
  return [uid, reason, field].join('\n');
}

function messageOf({ field, message, fix }: Problem): string {
  const text = `${field === '' ? '' : `${field}: `}${message}. Fix: ${fix}`;
  return text.length <= maxMessage ? text : `${text.slice(0, maxMessage - 1)}…`;
}

function toEvent({ problem, uid, apiVersion }: Wanted, instance: string, now: number): KubernetesEvent {
  const { resource, reason, field, severity } = problem;
  const { kind, namespace, name } = resource;
  const time = new Date(now).toISOString().replace(/\.\d+Z$/, 'Z');
  // By content, so that it is found again after a restart.
  const hash = createHash('sha256').update(keyOf(problem, uid)).digest('hex').slice(0, 16);
  return {
    apiVersion: 'v1',
    kind: 'Event',
    // Of what has no namespace, Events are in `default`.
    metadata: { name: `${name.slice(0, 200)}.${hash}`, namespace: namespace === '' ? 'default' : namespace },
    involvedObject: { apiVersion, kind, ...(namespace !== '' && { namespace }), name, uid, fieldPath: field },
    type: severity === 'info' ? 'Normal' : 'Warning',
    reason,
    message: messageOf(problem),
    source: { component },
    reportingComponent: component,
    reportingInstance: instance,
    firstTimestamp: time,
    lastTimestamp: time,
    count: 1,
  };
}

function eventsPath({ metadata: { namespace } }: KubernetesEvent): string {
  return `/api/v1/namespaces/${namespace}/events`;
}
