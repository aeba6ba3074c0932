import type { KubernetesApi } from '../../support/kubernetes-api.ts';
import { applyObject, deleteObject, restart, rolledOut, until } from '../../support/kubernetes-objects.ts';
import type { Tally } from '../../e2e-kubernetes/apps/load.ts';
import { toGoal, toText } from '../report.ts';
import { type Bookstore, look } from './bookstore.ts';
import type { Row } from './run.ts';
import { readProcess } from './memory.ts';

const load = { ...look, perSecond: 200, oneConnection: true } as const;
type Requests = Tally['series'];

/** How long after `since` the first request was sent that was answered so, and the last that was not. */
function turn(series: Requests, since: number, isNew: (by: string) => boolean): { first: number; all: number } {
  const later = series.filter(([sent]) => sent >= since - 1000);
  const first = later.find(([sent, , by]) => sent >= since && isNew(by))?.[0] ?? NaN;
  const old = later.findLast(([sent, , by]) => sent >= since && !isNew(by))?.[0];
  return { first: first - since, all: (old ?? since) - since };
}

export function median(values: readonly number[]): number {
  return [...values].sort((a, b) => a - b)[Math.floor(values.length / 2)] ?? NaN;
}

function spread(values: readonly number[]): string {
  return `${toText(median(values))} ms (${Math.min(...values)}–${Math.max(...values)})`;
}

/** Weights there and back, a TrafficTarget taken and given, under load. */
export async function measureChanges(api: KubernetesApi, bookstore: Bookstore, times: number): Promise<Row[]> {
  const { buyer, setWeights, targets } = bookstore;
  await setWeights(100, 0);
  await buyer.callUntil(look, ({ headers }) => headers['identity'] === 'bookstore-v1');
  await buyer.startLoad(load);
  // What the spans of these requests and all else cost anyway.
  const idle = await readProcess(api);
  const idleSince = performance.now();
  await pause(6_000);
  const before = await readProcess(api);
  const idlePerMs = (before.cpuMs - idle.cpuMs) / (performance.now() - idleSince);
  const since = performance.now();
  const weights: { first: number; all: number }[] = [];
  for (let round = 0; round < times; round += 1) {
    const wanted = round % 2 === 0 ? 'bookstore-v2' : 'bookstore-v1';
    await pause(500 + 37 * (round % 5));
    await (round % 2 === 0 ? setWeights(0, 100) : setWeights(100, 0));
    weights.push(await turned(Date.now(), (by) => by.includes(wanted)));
  }
  const after = await readProcess(api);
  const changesCpuMs = after.cpuMs - before.cpuMs - idlePerMs * (performance.now() - since);
  const kept = await buyer.stopLoad();

  const [given, taken]: { first: number }[][] = [[], []];
  const [target] = targets.filter(({ metadata }) => metadata.name === 'bookbuyer-to-bookstore-v1');
  await setWeights(100, 0);
  await buyer.callUntil(look, ({ headers }) => headers['identity'] === 'bookstore-v1');
  await buyer.startLoad({ ...load, good: [200, 403] });
  for (let round = 0; round < Math.max(4, times / 2); round += 1) {
    await pause(500 + 37 * (round % 5));
    await deleteObject(api, target!);
    taken!.push(await turned(Date.now(), (by) => by.startsWith('403')));
    await pause(500 + 37 * (round % 5));
    await applyObject(api, target!);
    given!.push(await turned(Date.now(), (by) => by.startsWith('200')));
  }
  const other = await buyer.stopLoad();

  async function turned(since: number, isNew: (by: string) => boolean): Promise<{ first: number; all: number }> {
    return until('the change in force', 20, async () => {
      const { series } = await buyer.tally('load', since - 50);
      // Twenty in a row: what was under way is answered.
      const isOver = series.length > 60 && series.slice(-20).every(([, , by]) => isNew(by));
      return isOver ? turn(series, since, isNew) : undefined;
    });
  }
  const [firsts, alls] = [weights.map(({ first }) => first), weights.map(({ all }) => all)];
  const [givenMs, takenMs] = [given!.map(({ first }) => first), taken!.map(({ first }) => first)];
  return [
    {
      what: `weights of a split changed, ${times} times → first request by the new`,
      osm: '2,003–2,014 ms',
      tulle: spread(firsts),
      goals: [
        toGoal('weights: first by the new, ≤ 100 ms', Math.max(...firsts), 100, ' ms'),
        toGoal('weights: first by the new, median ≤ 50 ms', median(firsts), 50, ' ms'),
      ],
    },
    {
      what: '→ last request by the old',
      osm: '1,993–2,007 ms, none failed',
      tulle: `${spread(alls)}, ${kept.failed} of ${kept.sent} failed`,
      goals: [
        toGoal('weights: all by the new, ≤ 100 ms', Math.max(...alls), 100, ' ms'),
        toGoal('weights: requests that failed, 0', kept.failed, 0),
      ],
    },
    {
      what: 'TrafficTarget created → first request allowed',
      osm: '2,020–2,056 ms',
      tulle: spread(givenMs),
      goals: [toGoal('target created: first allowed, ≤ 100 ms', Math.max(...givenMs), 100, ' ms')],
    },
    {
      what: 'TrafficTarget deleted → first request refused',
      osm: '2,007–2,022 ms',
      tulle: `${spread(takenMs)}, ${other.failed} neither 200 nor 403`,
      goals: [toGoal('target deleted: first refused, ≤ 100 ms', Math.max(...takenMs), 100, ' ms')],
    },
    {
      what: 'CPU of the control plane for a change of weights, beyond the same time without changes (all requests traced)',
      osm: '–',
      tulle: `${toText(Math.max(0, changesCpuMs) / times)} ms; ${toText(idlePerMs * 100)} % of a processor without`,
    },
  ];
}

export async function measureRolling(api: KubernetesApi, { buyer, setWeights }: Bookstore): Promise<Row> {
  await setWeights(50, 50);
  await buyer.startLoad(load);
  const names = ['bookstore-v1', 'bookstore-v2'];
  for (let round = 0; round < 3; round += 1) {
    await Promise.all(names.map((name) => restart(api, 'Deployment', 'bookstore', name)));
    await Promise.all(names.map((name) => rolledOut(api, 'Deployment', 'bookstore', name)));
  }
  const { failed, sent, failures } = await buyer.stopLoad();
  return {
    what: 'both servers rolled three times under 200 requests a second on one connection',
    osm: '133 of 2,486 failed',
    tulle: `${failed} of ${sent} failed${failures.length > 0 ? `: ${failures.slice(0, 2).join('; ')}` : ''}`,
    goals: [toGoal('rolled three times: failed, 0', failed, 0)],
  };
}

export async function measureDenied({ thief }: Bookstore): Promise<Row> {
  const answers = await thief.calls(Array.from({ length: 200 }, () => look));
  const kinds = new Map<string, number>();
  for (const { status, error, body } of answers) {
    const [, reason = error ?? ''] =
      /\b(SourceNotAllowed|NoTarget|RequestNotAllowed|PlaintextRefused)\b/.exec(body) ?? [];
    const kind = `${status} ${reason}`.trim();
    kinds.set(kind, (kinds.get(kind) ?? 0) + 1);
  }
  const denied = answers.filter(({ status, body }) => status === 403 && body.includes('RBAC: access denied')).length;
  return {
    what: 'denied request',
    osm: 'reset, 404 or 503, depending on the moment',
    tulle: [...kinds].map(([kind, count]) => `${count} × ${kind}`).join(', '),
    goals: [toGoal('denied: not answered by 403 with the reason, 0', answers.length - denied, 0)],
  };
}

function pause(ms: number): Promise<void> {
  return new Promise((resolve) => setTimeout(resolve, ms));
}
