import { join } from 'node:path';
import { runVisitor } from '../local/visitor.ts';
import type { Call } from '../observability/call.ts';
import type { JaegerTrace } from '../observability/jaeger-json.ts';
import type { CliContext } from './context.ts';
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
import type { LaptopMesh } from './laptop-mesh.ts';
import { getJson } from './mesh-client.ts';

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
export async function checkDemo(
  mesh: LaptopMesh,
  startedAt: number,
  ended: AbortSignal,
  probe: string,
  context: CliContext,
): Promise<DemoReport> {
  const complete = await untilComplete(mesh, ended);
  const from = Date.now() + settleMs;
  const probes = complete ? await runProbes(mesh, probe, context, ended) : [];
  await untilAborted(ended);
  const to = Date.now();
  await pause(reportMs);
  const { calls, traces, splits } = await readTraffic(mesh);
  const within = calls.filter(({ time }) => time >= from && time <= to - 500);
  const purchases = within.filter(isPurchase);
  const checks = [
    {
      name: 'everything runs',
      ok: complete,
      detail: complete ? `after ${from - settleMs - startedAt} ms` : describePods(mesh),
    },
    checkServed(purchases),
    checkDenied(purchases),
    checkSplit(purchases, splits),
    ...checkProbes(within, probes),
    checkTraces(purchases, traces),
  ];
  return {
    ok: checks.every(({ ok }) => ok),
    mesh: { id: mesh.run.id, isolation: mesh.isolation.kind },
    readyAfterMs: from - settleMs - startedAt,
    observedMs: to - from,
    purchases: purchases.length,
    checks,
  };
}

async function untilComplete(mesh: LaptopMesh, ended: AbortSignal): Promise<boolean> {
  while (!ended.aborted) {
    const pods = mesh.pods();
    if (pods.length >= 6 && pods.every(({ status }) => status.ready)) return true;
    await pause(50);
  }
  return false;
}

function describePods(mesh: LaptopMesh): string {
  const waiting = mesh.pods().filter(({ status }) => !status.ready);
  return waiting.length === 0 ? 'no pods' : `not ready: ${waiting.map(({ plan }) => plan.name).join(', ')}`;
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

async function runProbes(
  mesh: LaptopMesh,
  probe: string,
  context: CliContext,
  ended: AbortSignal,
): Promise<readonly ProbeResult[]> {
  const results: ProbeResult[] = [];
  for (const { as, args, allowed } of probeList) {
    if (ended.aborted) break;
    const [namespace = '', serviceAccount = ''] = as.split('/');
    const end = new AbortController();
    const timer = setTimeout(() => end.abort(), 10_000);
    const { ticket, isReady } = await mesh.join(namespace, serviceAccount, end.signal);
    const lines: string[] = [];
    const { code, failure } = await runVisitor({
      ticket,
      program: context.node,
      args: [probe, ...tcpAddress(args, ticket.env)],
      env: { PATH: context.env['PATH'] ?? '' },
      cwd: context.cwd,
      log: join(ticket.pod.dir, 'app.log'),
      isReady,
      onLine: (_, line) => lines.push(line),
      signal: end.signal,
    });
    clearTimeout(timer);
    end.abort();
    results.push({ as, kind: args[0], allowed, code, output: failure ?? lines.join(' ') });
  }
  return results;
}

/** By proxy a TCP service is at a loopback port, which its variable names. */
function tcpAddress(args: readonly string[], env: Readonly<Record<string, string>>): readonly string[] {
  const local = args[0] === 'tcp' ? env['TULLE_TCP_BOOKWAREHOUSE_BOOKDB_3306'] : undefined;
  return local === undefined ? args : ['tcp', ...local.split(':')];
}

interface Traffic {
  readonly calls: readonly Call[];
  readonly traces: readonly JaegerTrace[];
  readonly splits: readonly {
    readonly split: string;
    readonly wanted: readonly { readonly backend: string; readonly share: number }[];
  }[];
}

async function readTraffic({ api }: LaptopMesh): Promise<Traffic> {
  const [calls, traces, mesh] = await Promise.all([
    getJson<Call[]>(api, '/api/requests?since=1h&limit=50000', 20_000),
    getJson<{ data: JaegerTrace[] }>(api, '/api/traces?service=bookbuyer&limit=20000&lookback=1h', 30_000),
    getJson<Pick<Traffic, 'splits'>>(api, '/api/mesh'),
  ]);
  return { calls, traces: traces.data, splits: mesh.splits };
}

function untilAborted(signal: AbortSignal): Promise<void> {
  return new Promise((resolve) => {
    if (signal.aborted) resolve();
    else signal.addEventListener('abort', () => resolve(), { once: true });
  });
}

function pause(ms: number): Promise<void> {
  return new Promise((resolve) => setTimeout(resolve, ms));
}
