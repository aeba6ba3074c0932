import { sameContent } from '../../catalog/memo.ts';
import type { JsonObject } from '../../smi/reader.ts';
import { createBackoff } from './backoff.ts';
import { ClusterError } from './cluster-error.ts';
import { listPages, nameOf } from './list-pages.ts';
import type {
  Change,
  Kept,
  Reflector,
  ReflectorOptions,
  ReflectorStatus,
  ReflectorTiming,
  ResourcePath,
} from './reflected.ts';
import { decodeWatchEvent } from './watch-event.ts';

const usualTiming: ReflectorTiming = {
  backoffMs: [500, 30_000],
  steadyMs: 10_000,
  watchSeconds: [240, 480],
  silenceMs: 130_000,
  absentMs: 5_000,
};

/** An API server that is just starting may not know yet what is installed. */
const absencesToBelieve = 3;

/**
 * Follows all objects of a kind: lists them page by page, watches from there, and begins again where anything goes
 * wrong, for as long as it takes. Client libraries give up on a reset or half a line, and never notice a stalled
 * connection (DECISIONS K2).
 */
export function runReflector<T>(options: ReflectorOptions<T>): Reflector<T> {
  const { cluster, resource, onChange, onStatus = () => undefined, signal, clock, random } = options;
  const timing = { ...usualTiming, ...options.timing };
  const log = options.log.with({ resource: resource.name });
  const items = new Map<string, Kept<T>>();
  const failures = new Map<string, number>();
  const backoff = createBackoff(timing.backoffMs, random);
  let phase: ReflectorStatus['phase'] = 'listing';
  let synced = false;
  let heardAt = 0;
  let error: ClusterError | undefined;
  /** The reason that the log names as keeping it from following. */
  let told: string | undefined;
  let failedIn: ReflectorStatus['phase'] | undefined;
  let absences = 0;
  /** Where to watch from; undefined: everything has to be listed. */
  let version: string | undefined;

  function enter(next: ReflectorStatus['phase']): void {
    phase = next;
    onStatus();
  }

  /** One object that can't be taken must not keep all others from being followed. */
  function trim(raw: JsonObject, at: ResourcePath): T | undefined {
    try {
      return resource.trim(raw, at);
    } catch (error) {
      log.error('an object of the cluster could not be read; it is passed over', { error });
      return undefined;
    }
  }

  function keep(raw: unknown, at: ResourcePath): Kept<T> | undefined {
    const known = nameOf(raw);
    if (known === undefined) return undefined;
    const { object, namespace, name, uid } = known;
    const value = trim(object, at);
    if (value === undefined) return undefined;
    const before = items.get(`${namespace}/${name}`);
    if (before === undefined || !sameContent(before.value, value)) return { namespace, name, uid, value };
    return before.uid === uid ? before : { ...before, uid };
  }

  function replaceAll(fresh: ReadonlyMap<string, Kept<T>>): void {
    const changes: Change<T>[] = [];
    for (const [key, before] of items) {
      if (fresh.has(key)) continue;
      items.delete(key);
      changes.push({ before });
    }
    for (const [key, after] of fresh) {
      const before = items.get(key);
      if (before === after) continue;
      items.set(key, after);
      changes.push(before ? { before, after } : { after });
    }
    const isFirst = !synced;
    synced = true;
    if (changes.length > 0) onChange(changes);
    if (isFirst) onStatus();
  }

  function replaceOne(key: string, after: Kept<T> | undefined): void {
    const before = items.get(key);
    if (before === after) return;
    if (after) items.set(key, after);
    else items.delete(key);
    onChange([{ ...(before && { before }), ...(after && { after }) }]);
  }

  function recovered(): void {
    error = undefined;
    if (told !== undefined) log.info('objects of the cluster are followed again');
    told = undefined;
  }

  async function list(at: ResourcePath): Promise<string> {
    const fresh = new Map<string, Kept<T>>();
    let from = '';
    for await (const page of listPages(cluster, at.path, { query: resource.query, signal })) {
      heardAt = clock.now();
      from = page.version;
      for (const raw of page.items) {
        const kept = keep(raw, at);
        if (kept) fresh.set(`${kept.namespace}/${kept.name}`, kept);
      }
    }
    replaceAll(fresh);
    return from;
  }

  async function watch(at: ResourcePath, from: string): Promise<void> {
    const [least, most] = timing.watchSeconds;
    const timeoutSeconds = Math.round(least + random() * (most - least));
    const query = { ...resource.query, watch: 1, allowWatchBookmarks: true, resourceVersion: from, timeoutSeconds };
    const ending = new AbortController();
    const end = (): void => ending.abort();
    let isSilent = false;
    let stopWaiting = (): void => undefined;
    const waitForMore = (): void => {
      stopWaiting();
      stopWaiting = clock.at(clock.now() + timing.silenceMs, () => {
        isSilent = true;
        end();
      });
    };
    signal.addEventListener('abort', end, { once: true });
    waitForMore();
    try {
      for await (const line of cluster.openStream(at.path, { query, signal: ending.signal })) {
        heardAt = clock.now();
        waitForMore();
        const event = decodeWatchEvent(line);
        if (event.type === 'ERROR') throw event.error;
        recovered();
        if (event.version !== undefined) version = event.version;
        if (event.type === 'BOOKMARK') continue;
        if (event.type === 'DELETED') replaceOne(event.key, undefined);
        else replaceOne(event.key, keep(event.object, at));
      }
    } catch (cause) {
      if (!isSilent) throw cause;
      const message = `GET ${at.path}: nothing came for ${timing.silenceMs / 1000} s, not even a bookmark`;
      throw new ClusterError(0, 'Silent', message, { cause });
    } finally {
      stopWaiting();
      signal.removeEventListener('abort', end);
    }
  }

  async function pause(milliseconds: number): Promise<void> {
    if (milliseconds <= 0 || signal.aborted) return;
    await new Promise<void>((resolve) => {
      const finish = (): void => {
        callOff();
        signal.removeEventListener('abort', finish);
        resolve();
      };
      const callOff = clock.at(clock.now() + milliseconds, finish);
      signal.addEventListener('abort', finish, { once: true });
    });
  }

  /** Clears what was there only when it is sure that the kind is gone. */
  async function stayAbsent(): Promise<void> {
    absences += 1;
    if (items.size === 0 || absences >= absencesToBelieve) {
      if (phase !== 'absent') log.debug('the kind is not installed; it is taken in when it is');
      replaceAll(new Map());
      enter('absent');
    }
    await pause(timing.absentMs * (0.8 + 0.4 * random()));
  }

  async function recover(cause: unknown, startedAt: number): Promise<void> {
    const failure = toFailure(cause);
    failures.set(failure.reason, (failures.get(failure.reason) ?? 0) + 1);
    if (!keepsItsPlace(failure)) version = undefined;
    if (clock.now() - startedAt >= timing.steadyMs) backoff.reset();
    const delay = Math.max(backoff.next(), (failure.retryAfterSeconds ?? 0) * 1000);
    error = failure;
    failedIn = phase === 'absent' ? 'listing' : phase;
    const fields = { reason: failure.reason, error: failure.message, delay };
    // A reset connection is daily life, and so is forgotten history; what lasts is told once.
    const isDaily = delay === 0 && (failure.status === 0 || failure.status === 410);
    if (isDaily || told === failure.reason) log.debug('a watch is begun again', fields);
    else {
      told = failure.reason;
      log.warn('objects of the cluster can not be followed; it is tried again', fields);
    }
    if (delay > 0) enter('waiting');
    await pause(delay);
  }

  async function run(): Promise<void> {
    let at: ResourcePath | undefined;
    while (!signal.aborted) {
      const startedAt = clock.now();
      try {
        if (version === undefined || at === undefined) {
          if (phase !== 'absent') enter('listing');
          at = await resource.locate();
          if (at === undefined) {
            await stayAbsent();
            continue;
          }
          version = await list(at);
          absences = 0;
          if (failedIn === 'listing') recovered();
        }
        enter('watching');
        await watch(at, version);
        // The server ended it as it was asked to; one that ends each watch at once is not asked without pause.
        if (clock.now() - startedAt >= timing.steadyMs) backoff.reset();
        else await pause(backoff.next());
      } catch (cause) {
        if (signal.aborted) break;
        await recover(cause, startedAt);
      }
    }
    enter('ended');
  }

  return {
    items,
    status: () => ({
      resource: resource.name,
      synced,
      phase,
      objects: items.size,
      heardAt,
      failures,
      ...(error && { error }),
    }),
    done: run(),
  };
}

function toFailure(cause: unknown): ClusterError {
  if (cause instanceof ClusterError) return cause;
  const message = cause instanceof Error ? cause.message : String(cause);
  return new ClusterError(0, 'Unknown', message, { cause });
}

/** May a watch go on from where it was? Else everything is listed anew. */
function keepsItsPlace({ status, reason }: ClusterError): boolean {
  if (status === 0) return ['Unreachable', 'Truncated', 'Timeout', 'Silent', 'CredentialsUnusable'].includes(reason);
  return status === 429 || status >= 500;
}
