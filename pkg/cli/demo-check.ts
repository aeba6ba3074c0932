import type { Call } from '../observability/call.ts';
import type { JaegerTrace } from '../observability/jaeger-json.ts';
import {
  checkDenied,
  checkProbes,
  checkServed,
  checkSplit,
  checkTraces,
  isPurchase,
  type DemoCheck,
  type ProbeResult,
} from './demo-rules.ts';
import { pause } from './pause.ts';
import { joinCalls } from './recorded-calls.ts';
import { untilAborted } from './until-aborted.ts';

/** A running bookstore, wherever it runs. */
export interface DemoMesh {
  readonly id: string;
  readonly isolation: string;
  /** What is not ready yet; undefined: all is. */
  missing(): string | undefined;
  get<T>(path: string, timeoutMs: number): Promise<T>;
  /** The same of every controller. */
  getAll<T>(path: string, timeoutMs: number): Promise<readonly T[]>;
  /** One call as one more workload under an account. Code 0: answered, 3: refused. */
  probe(namespace: string, serviceAccount: string, args: readonly string[]): Promise<{ code: number; output: string }>;
  /** Each takes its time to start. */
  readonly probesTogether: boolean;
  /** Milliseconds since 1970 by the clock that calls are recorded by. */
  now(): number;
}

export interface DemoReport {
  readonly ok: boolean;
  readonly mesh: { readonly id: string; readonly isolation: string };
  /** When all was up, and how long after that was looked at, in milliseconds. */
  readonly readyAfterMs: number;
  readonly observedMs: number;
  readonly purchases: number;
  readonly checks: readonly DemoCheck[];
}

/** Calls made before this, after the last pod is ready, may still meet a sidecar that has not heard of it. */
const settleMs = 1_000;
/** Spans leave a sidecar in batches. */
const reportMs = 3_000;

/** Looks at a running bookstore until its time is over: did everything hold that must hold? */
export async function checkDemo(mesh: DemoMesh, startedAt: number, ended: AbortSignal): Promise<DemoReport> {
  const complete = await untilComplete(mesh, ended);
  const from = mesh.now() + settleMs;
  const probes = complete ? await runProbes(mesh, ended) : [];
  await untilAborted(ended);
  const to = mesh.now();
  await pause(reportMs);
  const { calls, traces, splits } = await readTraffic(mesh);
  const within = calls.filter(({ time }) => time >= from && time <= to - 500);
  const purchases = within.filter(isPurchase);
  const checks = [
    {
      name: 'everything runs',
      ok: complete,
      detail: complete ? `after ${from - settleMs - startedAt} ms` : (mesh.missing() ?? 'too late'),
    },
    checkServed(purchases),
    checkDenied(purchases),
    checkSplit(purchases, splits),
    ...checkProbes(within, probes),
    checkTraces(purchases, traces),
  ];
  return {
    ok: checks.every(({ ok }) => ok),
    mesh: { id: mesh.id, isolation: mesh.isolation },
    readyAfterMs: from - settleMs - startedAt,
    observedMs: to - from,
    purchases: purchases.length,
    checks,
  };
}

async function untilComplete(mesh: DemoMesh, ended: AbortSignal): Promise<boolean> {
  while (!ended.aborted) {
    if (mesh.missing() === undefined) return true;
    await pause(50);
  }
  return false;
}

/** What nobody does by itself: calls under other identities, each as one more workload of the mesh. */
const probeList = [
  {
    as: 'bookstore/bookstore-v1',
    args: ['http', 'POST', 'http://bookwarehouse.bookwarehouse:14001/restock-books'],
    allowed: true,
  },
  {
    as: 'bookbuyer/bookbuyer',
    args: ['http', 'POST', 'http://bookwarehouse.bookwarehouse:14001/restock-books'],
    allowed: false,
  },
  {
    as: 'bookthief/bookthief',
    args: ['http', 'POST', 'http://bookwarehouse.bookwarehouse:14001/restock-books'],
    allowed: false,
  },
  { as: 'bookwarehouse/bookwarehouse', args: ['tcp', 'bookdb.bookwarehouse', '3306'], allowed: true },
  { as: 'bookstore/bookstore-v1', args: ['tcp', 'bookdb.bookwarehouse', '3306'], allowed: false },
  { as: 'bookthief/bookthief', args: ['tcp', 'bookdb.bookwarehouse', '3306'], allowed: false },
] as const;

async function runProbes(mesh: DemoMesh, ended: AbortSignal): Promise<readonly ProbeResult[]> {
  const results: ProbeResult[] = [];
  const run = async ({ as, args, allowed }: (typeof probeList)[number]): Promise<void> => {
    if (ended.aborted) return;
    const [namespace = '', serviceAccount = ''] = as.split('/');
    const { code, output } = await mesh.probe(namespace, serviceAccount, args);
    results.push({ as, kind: args[0], allowed, code, output });
  };
  if (mesh.probesTogether) await Promise.all(probeList.map(run));
  else for (const probe of probeList) await run(probe);
  return results;
}

interface Traffic {
  readonly calls: readonly Call[];
  readonly traces: readonly JaegerTrace[];
  readonly splits: readonly {
    readonly split: string;
    readonly wanted: readonly { readonly backend: string; readonly share: number }[];
  }[];
}

/**
 * Spans of one trace may have gone to several controllers, each of which numbers its processes by itself and finds the
 * trace only by services that it knows of it: what was found twice is there once.
 */
export function mergeTraces(lists: readonly (readonly JaegerTrace[])[]): readonly JaegerTrace[] {
  const merged = new Map<string, JaegerTrace>();
  for (const [i, list] of lists.entries()) {
    for (const trace of list) {
      const before = merged.get(trace.traceID);
      const known = new Set(before?.spans.map(({ spanID }) => spanID));
      const spans = trace.spans
        .filter(({ spanID }) => !known.has(spanID))
        .map((span) => ({ ...span, processID: `${i}.${span.processID}` }));
      const processes = Object.entries(trace.processes).map(([id, process]) => [`${i}.${id}`, process] as const);
      merged.set(trace.traceID, {
        ...trace,
        spans: [...(before?.spans ?? []), ...spans],
        processes: { ...before?.processes, ...Object.fromEntries(processes) },
      });
    }
  }
  return [...merged.values()];
}

async function readTraces(mesh: DemoMesh): Promise<readonly JaegerTrace[]> {
  const of = async (service: string): Promise<readonly (readonly JaegerTrace[])[]> => {
    const path = `/api/traces?service=${service}&limit=20000&lookback=1h`;
    return (await mesh.getAll<{ data: JaegerTrace[] }>(path, 60_000)).map(({ data }) => data);
  };
  const purchases = await of('bookbuyer');
  if (purchases.length === 1) return purchases.flat();
  const others = await Promise.all(['bookstore-v1', 'bookstore-v2', 'bookwarehouse'].map(of));
  return mergeTraces([...purchases, ...others.flat()]);
}

async function readTraffic(mesh: DemoMesh): Promise<Traffic> {
  const [calls, traces, state] = await Promise.all([
    mesh.getAll<readonly Call[]>('/api/requests?since=1h&limit=50000', 60_000),
    readTraces(mesh),
    mesh.get<Pick<Traffic, 'splits'>>('/api/mesh', 20_000),
  ]);
  return { calls: joinCalls(calls), traces, splits: state.splits };
}
