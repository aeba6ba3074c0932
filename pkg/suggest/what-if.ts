import { explainCall } from '../explain/explain-call.ts';
import type { MeshFacts } from '../explain/mesh-facts.ts';
import { type RecordedCall, replay, toQuestion } from './replay.ts';

export interface WhatIfChange {
  readonly source: string;
  /** What runs as it: `bookbuyer/Deployment/bookbuyer`. */
  readonly owners: readonly string[];
  readonly service: string;
  readonly method: string;
  readonly path: string;
  readonly calls: number;
  /** Share of them that is refused (newly denied) or served (newly allowed) by the new policy. */
  readonly share: number;
  /** Why, in one line. */
  readonly why: string;
}

export interface WhatIf {
  readonly replayed: number;
  readonly denied: readonly WhatIfChange[];
  readonly allowed: readonly WhatIfChange[];
  readonly unchanged: number;
  /** Calls that can't be judged, by reason. */
  readonly unknown: ReadonlyMap<string, number>;
}

/**
 * Replays what was recorded under `now` against `next`: what passed and would be refused, what was refused and would pass.
 * A call that today's policy judges in another way than the record has it is compared by the record.
 */
export function whatIf(calls: readonly RecordedCall[], now: MeshFacts, next: MeshFacts): WhatIf {
  const groups = groupCalls(calls);
  const denied: WhatIfChange[] = [];
  const allowed: WhatIfChange[] = [];
  const unknown = new Map<string, number>();
  let unchanged = 0;
  for (const { call, count } of groups) {
    const after = replay(next, call, now);
    if (after.answer === 'unknown' || after.summary === undefined) {
      const why = after.why ?? 'the request is malformed';
      unknown.set(why, (unknown.get(why) ?? 0) + count);
      continue;
    }
    const { served, denied: refused } = after.summary;
    const passed = call.verdict !== 'denied';
    const before = replay(now, call, now).summary;
    const share = passed
      ? refused - Math.min(refused, before?.denied ?? 0)
      : served - Math.min(served, before?.served ?? 0);
    if (share <= 1e-9) {
      unchanged += count;
      continue;
    }
    const { source, service, method, path } = call;
    const why = passed ? whyDenied(next, call, now) : whyAllowed(next, call, now);
    const change = { source, owners: ownersOf(source, now, next), service, method, path, calls: count, share, why };
    addChange(passed ? denied : allowed, change);
  }
  const byCalls = (a: WhatIfChange, b: WhatIfChange): number => b.calls - a.calls;
  return { replayed: calls.length, denied: denied.sort(byCalls), allowed: allowed.sort(byCalls), unchanged, unknown };
}

/** What differs in nothing that is shown is one line. */
function addChange(changes: WhatIfChange[], change: WhatIfChange): void {
  const shownOf = ({ source, service, method, path, share, why }: WhatIfChange): string =>
    JSON.stringify([source, service, method, path, share, why]);
  const i = changes.findIndex((other) => shownOf(other) === shownOf(change));
  const same = changes[i];
  if (same === undefined) changes.push(change);
  else changes[i] = { ...same, calls: same.calls + change.calls };
}

/** Calls that nothing tells apart, once; the query is none of policy's business. */
export function groupCalls(
  calls: readonly RecordedCall[],
): readonly { readonly call: RecordedCall; readonly count: number }[] {
  const groups = new Map<string, { call: RecordedCall; count: number }>();
  for (const call of calls) {
    const { source, service, method, authority, headers, verdict, rule } = call;
    const [path = ''] = call.path.split('?');
    const key = JSON.stringify([source, service, method, path, authority, headers, verdict, rule]);
    const known = groups.get(key);
    if (known) known.count += 1;
    else groups.set(key, { call: { ...call, path }, count: 1 });
  }
  return [...groups.values()];
}

function whyDenied(next: MeshFacts, call: RecordedCall, now: MeshFacts): string {
  const question = toQuestion(next, call, now);
  if ('fault' in question) return question.fault;
  const { nearest, because, reasons } = explainCall(next, question);
  return (nearest ?? because[0])?.message ?? reasons.join(', ');
}

function whyAllowed(next: MeshFacts, call: RecordedCall, now: MeshFacts): string {
  const question = toQuestion(next, call, now);
  return 'fault' in question
    ? question.fault
    : explainCall(next, question)
        .because.map(({ message }) => message)
        .join(', ');
}

function ownersOf(account: string, ...meshes: readonly MeshFacts[]): readonly string[] {
  const pods = meshes.flatMap(({ snapshot }) => snapshot.pods);
  const own = pods.filter(({ namespace, serviceAccount }) => `${namespace}/${serviceAccount}` === account);
  return [...new Set(own.flatMap(({ owner }) => owner ?? []))].sort();
}
