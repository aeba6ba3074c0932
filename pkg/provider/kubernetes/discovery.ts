import type { Clock } from '../../certs/clock.ts';
import { isJsonObject } from '../../smi/reader.ts';
import type { Cluster } from './cluster.ts';
import { isNotFound } from './cluster-error.ts';
import type { ResourcePath } from './reflected.ts';

/** A kind that may be installed, or not, or in other versions than ours. */
export interface WantedKind {
  readonly group: string;
  readonly kind: string;
  readonly plural: string;
  /** Those that are understood, newest last. */
  readonly versions: readonly string[];
}

/** Answers are good for so long: the kinds of a group are looked for at the same time. */
const keepMs = 1_000;

/** Finds kinds in the newest version that both the API server and we know. Any user may ask (`system:discovery`). */
export function createDiscovery(
  cluster: Pick<Cluster, 'request'>,
  clock: Pick<Clock, 'now'>,
  signal?: AbortSignal,
): (wanted: WantedKind) => Promise<ResourcePath | undefined> {
  const known = new Map<string, { readonly at: number; readonly answer: Promise<unknown> }>();

  /** Undefined: there is no such group, or version of it. */
  function ask(path: string): Promise<unknown> {
    const now = clock.now();
    const before = known.get(path);
    if (before && now - before.at < keepMs) return before.answer;
    const answer = cluster.request('GET', path, signal ? { signal } : {}).catch((error: unknown) => {
      if (isNotFound(error)) return undefined;
      known.delete(path);
      throw error;
    });
    known.set(path, { at: now, answer });
    return answer;
  }

  return async ({ group, kind, plural, versions }) => {
    const served = namesIn(await ask(`/apis/${group}`), 'versions', 'version');
    for (const version of [...versions].reverse()) {
      if (!served.includes(version)) continue;
      const path = `/apis/${group}/${version}`;
      if (!namesIn(await ask(path), 'resources', 'name').includes(plural)) continue;
      return { path: `${path}/${plural}`, apiVersion: `${group}/${version}`, kind };
    }
    return undefined;
  };
}

function namesIn(answer: unknown, list: string, field: string): readonly string[] {
  const items: unknown = isJsonObject(answer) ? answer[list] : undefined;
  if (!Array.isArray(items)) return [];
  return items.flatMap((item) => (isJsonObject(item) && typeof item[field] === 'string' ? [item[field]] : []));
}
