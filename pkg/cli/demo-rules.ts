import { judgeShare } from '../dashboard/split-report.ts';
import type { Call } from '../observability/call.ts';
import type { JaegerSpan, JaegerTrace } from '../observability/jaeger-json.ts';

export interface DemoCheck {
  readonly name: string;
  readonly ok: boolean;
  /** The numbers behind it. */
  readonly detail: string;
}

export interface ProbeResult {
  readonly as: string;
  readonly kind: 'http' | 'tcp';
  readonly allowed: boolean;
  /** 0: answered, 3: refused. */
  readonly code: number;
  readonly output: string;
}

const store = 'bookstore/bookstore:14001';
const warehouse = 'bookwarehouse/bookwarehouse:14001';
const database = 'bookwarehouse/bookdb:3306';
const buyer = 'bookbuyer/bookbuyer';
const thief = 'bookthief/bookthief';

/** A purchase as the sidecar of the shopper saw it. */
export function isPurchase({ service, path, observer }: Call): boolean {
  return service === store && path === '/buy-a-book/new' && observer === 'client';
}

export function checkServed(purchases: readonly Call[]): DemoCheck {
  const mine = purchases.filter(({ source }) => source === buyer);
  const failed = mine.filter(({ status }) => status !== 200);
  return {
    name: 'bookbuyer is served',
    ok: mine.length > 0 && failed.length === 0,
    detail: `${mine.length} purchases, ${failed.length} not answered with 200${first(failed.map(({ status, reason }) => `${status} ${reason}`))}`,
  };
}

export function checkDenied(purchases: readonly Call[]): DemoCheck {
  const stolen = purchases.filter(({ source }) => source === thief);
  const other = stolen.filter(({ status, verdict }) => status !== 403 || verdict !== 'denied');
  return {
    name: 'bookthief gets 403 on every purchase',
    ok: stolen.length > 0 && other.length === 0,
    detail: `${stolen.length} attempts, ${other.length} not answered with 403${first(other.map(({ status }) => String(status)))}`,
  };
}

export function checkSplit(
  purchases: readonly Call[],
  splits: readonly {
    readonly split: string;
    readonly wanted: readonly { readonly backend: string; readonly share: number }[];
  }[],
): DemoCheck {
  const name = 'the observed shares are within 5 sigma of the wanted ones';
  const split = splits.find((entry) => entry.split === 'bookstore/bookstore-split');
  if (!split) return { name, ok: false, detail: 'the TrafficSplit bookstore/bookstore-split is not in force' };
  const mine = purchases.filter((call) => call.source === buyer && call.split === split.split);
  const parts = split.wanted.map(({ backend, share }) => {
    const requests = mine.filter((call) => call.backend === backend).length;
    const judged = judgeShare(share, requests, mine.length);
    return { ok: judged.within, text: `${backend} wanted ${percent(share)}, observed ${percent(judged.share)}` };
  });
  const ok = mine.length >= 30 && parts.length > 0 && parts.every((part) => part.ok);
  return { name, ok, detail: `${parts.map(({ text }) => text).join('; ')}; of ${mine.length} purchases` };
}

export function checkProbes(calls: readonly Call[], probes: readonly ProbeResult[]): readonly DemoCheck[] {
  return [
    checkDestination(
      'bookwarehouse accepts only the bookstore',
      'http',
      warehouse,
      /^bookstore\/bookstore-v[12]$/,
      calls,
      probes,
    ),
    checkDestination(
      'the TCP rule holds: bookdb accepts only bookwarehouse',
      'tcp',
      database,
      /^bookwarehouse\/bookwarehouse$/,
      calls,
      probes,
    ),
  ];
}

function checkDestination(
  name: string,
  kind: ProbeResult['kind'],
  service: string,
  allowedSource: RegExp,
  calls: readonly Call[],
  probes: readonly ProbeResult[],
): DemoCheck {
  const accepted = calls.filter((call) => call.service === service && call.verdict !== 'denied');
  const intruders = accepted.filter(({ source }) => !allowedSource.test(source));
  const mine = probes.filter((probe) => probe.kind === kind);
  const wrong = mine.filter(({ allowed, code }) => (code === 0) !== allowed);
  // Envoy reports requests, and no connections: there the three that were tried must do.
  const seen = accepted.length > 0 || (kind === 'tcp' && mine.some(({ allowed, code }) => allowed && code === 0));
  const tried = mine.map(({ as, code }) => `${as} ${code === 0 ? 'answered' : 'refused'}`).join(', ');
  return {
    name,
    ok: seen && intruders.length === 0 && mine.length === 3 && wrong.length === 0,
    detail: `${accepted.length} calls accepted, ${intruders.length} from others; tried: ${tried || 'nothing'}${first(wrong.map(({ output }) => output))}`,
  };
}

/** Every purchase that was served is one trace: buyer's sidecar > store's > store's call > warehouse's, by their parents. */
export function checkTraces(purchases: readonly Call[], traces: readonly JaegerTrace[]): DemoCheck {
  const byId = new Map(traces.map((trace) => [trace.traceID.padStart(32, '0'), trace]));
  const served = purchases.filter(({ source, status }) => source === buyer && status === 200);
  const faults = served.flatMap(({ traceId }) => faultOf(byId.get(traceId)) ?? []);
  return {
    name: 'every purchase is one complete trace with right parents',
    ok: served.length > 0 && faults.length === 0,
    detail: `${served.length - faults.length} of ${served.length} traces are whole${first(faults)}`,
  };
}

/** Operations from the root on; each is the parent of the next. */
const chain = [
  { kind: 'client', service: /^bookbuyer$/, name: /buy-a-book|bookstore\.bookstore/ },
  { kind: 'server', service: /^bookstore-v[12]$/, name: /./ },
  { kind: 'client', service: /^bookstore-v[12]$/, name: /bookwarehouse/ },
  { kind: 'server', service: /^bookwarehouse$/, name: /./ },
] as const;

function faultOf(trace: JaegerTrace | undefined): string | undefined {
  if (!trace) return 'a trace is missing';
  const roots = trace.spans.filter(({ references }) => references.length === 0);
  if (roots.length !== 1) return `${trace.traceID} has ${roots.length} roots`;
  if (trace.spans.length !== chain.length) return `${trace.traceID} has ${trace.spans.length} spans`;
  let [span] = roots;
  for (const [i, { kind, service, name }] of chain.entries()) {
    if (!span) return `${trace.traceID} breaks off after ${i} spans`;
    const owner = trace.processes[span.processID]?.serviceName ?? '';
    if (kindOf(span) !== kind || !service.test(owner) || !name.test(span.operationName)) {
      return `${trace.traceID}: span ${i + 1} is a ${kindOf(span)} span of ${owner} "${span.operationName}"`;
    }
    const parent: string = span.spanID;
    span = trace.spans.find(({ references }) => references.some(({ spanID }) => spanID === parent));
  }
  return undefined;
}

function kindOf({ tags }: JaegerSpan): string {
  return String(tags.find(({ key }) => key === 'span.kind')?.value ?? '');
}

function percent(share: number): string {
  return `${(share * 100).toFixed(1)} %`;
}

function first([text]: readonly string[]): string {
  return text === undefined ? '' : `; for example: ${text}`;
}
