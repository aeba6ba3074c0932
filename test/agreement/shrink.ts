import type { MeshSnapshot } from '../../pkg/catalog/snapshot.ts';
import type { Call } from '../conformance/calls.ts';

/** A mesh and a call on which two of those who decide differ. */
export interface Disagreement {
  readonly snapshot: MeshSnapshot;
  readonly call: Call;
}

/** They still differ; what throws, as for a Service that is gone, is no disagreement. */
export type Differs = (candidate: Disagreement) => boolean | Promise<boolean>;

const longest = 120_000;

/**
 * The same disagreement with as little as possible around it: objects go first, many at once, then what stands in them, then
 * parts of the request, as long as `differs` says that it stays. `tries`: so often it may be asked. Two minutes are enough in
 * any case: where answers stay away, each ask takes half a minute.
 */
export async function shrink(found: Disagreement, differs: Differs, tries = 5_000): Promise<Disagreement> {
  let best = found;
  let left = tries;
  const end = performance.now() + longest;

  /** True: it stays without what the candidate lacks, which is the best from now on. */
  async function keeps(candidate: Disagreement): Promise<boolean> {
    if (left <= 0 || performance.now() > end) return false;
    left -= 1;
    const stays = await Promise.resolve(candidate).then(differs, never).catch(never);
    if (stays) best = candidate;
    return stays;
  }

  async function withoutObjects(list: (typeof lists)[number]): Promise<void> {
    const all = (): readonly unknown[] => best.snapshot[list];
    for (let size = all().length; size >= 1; size = Math.floor(size / 2)) {
      for (let start = 0; start < all().length;) {
        const kept = all().toSpliced(start, size);
        if (!(await keeps({ ...best, snapshot: { ...best.snapshot, [list]: kept } }))) start += size;
      }
    }
  }

  async function withoutParts(list: 'smi' | 'services'): Promise<void> {
    for (let i = 0; i < best.snapshot[list].length; i++) {
      const replaced = (part: unknown): Disagreement => ({
        ...best,
        snapshot: { ...best.snapshot, [list]: best.snapshot[list].toSpliced(i, 1, part as never) },
      });
      await untilNone(function* () {
        for (const part of smallerThan(best.snapshot[list][i])) yield replaced(part);
      });
    }
  }

  /** Takes the first that keeps it, and begins again with what is left. */
  async function untilNone(candidates: () => Iterable<Disagreement>): Promise<void> {
    for (let smaller = true; smaller;) {
      smaller = false;
      for (const candidate of candidates()) {
        smaller = await keeps(candidate);
        if (smaller || left <= 0) break;
      }
    }
  }

  for (let before: Disagreement | undefined; before !== best && left > 0;) {
    before = best;
    for (const list of lists) await withoutObjects(list);
    for (const list of ['smi', 'services'] as const) await withoutParts(list);
    await untilNone(() => simplerCalls(best));
  }
  return best;
}

const lists = ['smi', 'pods', 'services', 'endpointSlices', 'namespaces'] as const;
const never = (): boolean => false;

/** Without these it is another object, or none. */
const needed = new Set(['apiVersion', 'kind', 'name', 'namespace', 'service', 'protocol', 'clusterIPs', 'headless']);

/** Each array without one of its elements, each object without one of its fields, at any depth. */
function* smallerThan(value: unknown): Generator<unknown> {
  if (Array.isArray(value)) {
    for (let i = 0; i < value.length; i++) yield value.toSpliced(i, 1);
    for (const [i, item] of value.entries()) for (const part of smallerThan(item)) yield value.toSpliced(i, 1, part);
  } else if (typeof value === 'object' && value !== null) {
    const fields = Object.entries(value);
    for (const [name] of fields) {
      if (!needed.has(name)) yield Object.fromEntries(fields.filter(([other]) => other !== name));
    }
    for (const [name, field] of fields) for (const part of smallerThan(field)) yield { ...value, [name]: part };
  }
}

function* simplerCalls({ snapshot, call }: Disagreement): Generator<Disagreement> {
  const { authority, ...rest } = call;
  if (authority !== undefined) yield { snapshot, call: rest };
  for (let i = 0; i < call.headers.length; i++) {
    yield { snapshot, call: { ...call, headers: call.headers.toSpliced(i, 1) } };
  }
  if (call.path !== '/') yield { snapshot, call: { ...call, path: '/' } };
  for (let length = 1; length < call.path.length; length++) {
    yield { snapshot, call: { ...call, path: call.path.slice(0, length) } };
  }
  if (call.protocol === 'http' && call.method !== 'GET') yield { snapshot, call: { ...call, method: 'GET' } };
  const to = call.to.replace(/\.svc(\.cluster(\.local)?)?:/, ':');
  if (to !== call.to) yield { snapshot, call: { ...call, to } };
}
