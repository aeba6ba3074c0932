import { median } from '../processes.ts';
import { type Goal, type Section, toGoal, toText } from '../report.ts';
import type { Size } from '../size.ts';
import { type Effort, measureAtRate, measureFootprint, measureSaturated } from './measure.ts';
import type { AtRate, Footprint, Saturated } from './measure.ts';
import type { BenchProtocol } from './setup.ts';
import { openStage, type Setup, type Stage } from './setups.ts';

const names: Readonly<Record<BenchProtocol, string>> = { http1: 'HTTP/1.1', http2: 'HTTP/2', grpc: 'gRPC', tcp: 'TCP' };

/** Of Envoy's CPU for a request. */
const limits: Readonly<Partial<Record<BenchProtocol, number>>> = { http1: 0.8, http2: 1.2 };

const texts: Readonly<Record<BenchProtocol, string>> = {
  http1:
    'Client → outbound → inbound → app with mutual TLS, SAN checks, access rules and a split 90:10, 1 KiB, 32 connections, as fast as it goes; all setups in turn. CPU seconds of both proxies for 10,000 requests, medians; the ratios are of these. *Bare*: the codec of the Node sidecar without any policy. Both send their spans, 50 and more at a time; *spans sent*: what arrived of all meanwhile.',
  http2:
    'The same with HTTP/2 on all three hops: a quarter of the connections, four streams each. Both sides of the Node sidecar are a codec of its own ([0007](adr/0007-http2-by-own-codec.md)).',
  grpc: 'The same with unary calls of gRPC. There is no goal of its own.',
  tcp: 'The same bytes as with HTTP/1.1 through a TCP port: who may connect is decided, nothing is looked into. There is no goal of its own.',
};

/** `sidecar-1`, `envoy-h2-100`: what it is, what is spoken between the two, percent of traces; `default`: the share of those that don't say. */
export function toSetup(name: string, fallback: number): Setup {
  const [engine = '', ...rest] = name.split('-');
  if (engine !== 'sidecar' && engine !== 'bare' && engine !== 'envoy') throw new Error(`there is no setup "${name}"`);
  const percent = rest.find((part) => /^\d+$/.test(part));
  const isTraced = rest.includes('traced') || engine === 'sidecar';
  const sampling = percent === undefined ? (isTraced ? fallback : undefined) : Number(percent) / 100;
  const isHttp2Between = rest.includes('h2');
  // Envoy without traces has no tracer.
  const isOff = sampling === undefined || (engine === 'envoy' && sampling === 0);
  return { name, engine, isHttp2Between, ...(isOff ? {} : { sampling }) };
}

export interface HttpOptions {
  readonly protocol: BenchProtocol;
  readonly saturated: readonly Setup[];
  readonly atRate: readonly Setup[];
  readonly weighed: readonly Setup[];
  readonly effort: Effort;
}

const always = { connections: 32, perSecond: 1000, held: 1000 };
const efforts: Readonly<Record<Size, Effort>> = {
  tiny: { ...always, seconds: 1, rounds: 1, repetitions: 1, rateSeconds: 1, rateRounds: 1, starts: 1, held: 100 },
  quick: { ...always, seconds: 2, rounds: 3, repetitions: 1, rateSeconds: 2, rateRounds: 2, starts: 3 },
  full: { ...always, seconds: 3, rounds: 3, repetitions: 2, rateSeconds: 4, rateRounds: 3, starts: 8 },
};

export function toHttpOptions(protocol: BenchProtocol, size: Size): HttpOptions {
  const setups = (...all: string[]): Setup[] => all.map((name) => toSetup(name, 0.01));
  const isAll = protocol === 'http1' && size === 'full';
  const levels = protocol !== 'http1' ? [1] : isAll ? [0, 1, 100] : [0, 1];
  const pairs = levels.flatMap((level) => [`sidecar-${level}`, `envoy-${level}`]);
  const more = isAll ? ['bare-0', 'envoy-h2-0'] : [];
  return {
    protocol,
    saturated: setups(...pairs, ...more),
    atRate: setups(...pairs),
    weighed: setups('sidecar-1', 'envoy-1'),
    effort: efforts[size],
  };
}

/** The Node sidecar and Envoy, with the same policy, between the same client and the same app. */
export async function benchHttp({ protocol, saturated, atRate, weighed, effort }: HttpOptions): Promise<Section[]> {
  const stage: Stage = await openStage(protocol);
  try {
    const fast = toSaturatedSection(protocol, await measureSaturated(stage, protocol, saturated, effort));
    if (atRate.length === 0 && weighed.length === 0) return [fast];
    const steady = await measureAtRate(stage, protocol, atRate, effort);
    const sizes = await measureFootprint(stage, protocol, weighed, effort);
    return [fast, toSteadySection(protocol, effort, steady, sizes)];
  } finally {
    await stage.close();
  }
}

function toSaturatedSection(protocol: BenchProtocol, results: ReadonlyMap<Setup, readonly Saturated[]>): Section {
  const of = (setup: Setup, field: keyof Saturated): number =>
    median((results.get(setup) ?? []).map((result) => result[field]));
  const limit = limits[protocol];
  const goals: Goal[] = [];
  const rows = [...results].map(([setup, all]) => {
    const own = [...results.keys()].find(
      (each) => each.engine === 'sidecar' && (each.sampling ?? 0) === (setup.sampling ?? 0),
    );
    const isPeer = setup.engine === 'envoy' && own !== undefined;
    const ratio = isPeer ? of(own, 'cpu') / of(setup, 'cpu') : Number.NaN;
    if (isPeer && limit !== undefined && !setup.isHttp2Between) {
      const traced = protocol === 'http1' ? `, ${toTraced(setup)}` : '';
      goals.push(toGoal(`CPU for a request${traced}, ≤ ${limit} × Envoy`, ratio, limit, ' ×'));
    }
    const cpus = all.map(({ cpu }) => cpu);
    return [
      toName(setup),
      toShare(setup),
      toText(of(setup, 'cpu')),
      `${toText(Math.min(...cpus))}–${toText(Math.max(...cpus))}`,
      isPeer ? ratio.toFixed(2) : '',
      of(setup, 'rate').toFixed(0),
      of(setup, 'rss').toFixed(0),
      (setup.sampling ?? 0) >= 0.1 ? `${(of(setup, 'spans') * 100).toFixed(0)} %` : '',
      ...toFailures(setup, all, goals),
    ];
  });
  return {
    title: `Node sidecar against Envoy, ${names[protocol]}`,
    text: texts[protocol],
    heads: [
      ...['setup', 'traced', 'CPU-s/10k', 'range', 'Node sidecar / this', 'req/s', 'RSS MiB'],
      ...['spans sent', 'failed'],
    ],
    rows,
    goals,
  };
}

function toSteadySection(
  protocol: BenchProtocol,
  effort: Effort,
  { direct, added }: AtRate,
  sizes: ReadonlyMap<Setup, readonly Footprint[]>,
): Section {
  const goals: Goal[] = [];
  const ofDirect = (field: 'p50' | 'p99'): string => toText(median(direct.map((each) => each[field])));
  const rows = [
    ['app alone', '', ...[ofDirect('p50'), ofDirect('p99')].map((each) => `(${each})`), '', '', '', '', '0'],
    ...[...added].map(([setup, all]) => {
      const m = (field: 'p50' | 'p99' | 'cpu'): string => toText(median(all.map((each) => each[field])));
      const weighed = [...sizes].find(([{ name }]) => name === setup.name)?.[1] ?? [];
      const known = weighed.filter(({ idle }) => !Number.isNaN(idle[0]));
      const rss = (field: 'idle' | 'held'): string =>
        [0, 1].map((side) => median(known.map((each) => each[field][side as 0 | 1])).toFixed(0)).join(' + ');
      return [
        toName(setup),
        toShare(setup),
        ...[m('p50'), m('p99'), m('cpu')],
        ...(known.length > 0
          ? [rss('idle'), rss('held'), median(weighed.map(({ startMillis }) => startMillis)).toFixed(0)]
          : ['', '', '']),
        ...toFailures(setup, [...all, ...weighed], goals),
      ];
    }),
  ];
  const { perSecond, held } = effort;
  return {
    title: `Node sidecar against Envoy, ${names[protocol]}: time added, memory, start`,
    text: `${perSecond} requests a second, whether answers come or not: what p50 and p99 are above those of the app alone (in brackets) in the same round, medians of the rounds, in milliseconds. Memory of the outbound and the inbound proxy: started and asked once, and with ${held} connections, each of which was asked once. Start: from the start of the outbound proxy to the first answer through both; both have their policy from a file.`,
    heads: [
      ...['setup', 'traced', 'p50 added', 'p99 added', 'CPU-s/10k', 'RSS idle MiB'],
      ...[`RSS at ${held} MiB`, 'start ms', 'failed'],
    ],
    rows,
    goals,
  };
}

/** A run with errors is marked: its figures are not of the same work. */
function toFailures(setup: Setup, all: readonly { readonly failed: number }[], goals: Goal[]): string[] {
  const failed = all.reduce((sum, each) => sum + each.failed, 0);
  if (failed > 0) goals.push(toGoal(`${toName(setup)}, ${toTraced(setup)}: requests that failed, 0`, failed, 0));
  return [failed > 0 ? `**${failed}**` : '0'];
}

function toName({ engine, isHttp2Between }: Setup): string {
  const name = { sidecar: 'Node sidecar', bare: 'bare', envoy: 'Envoy' }[engine];
  return isHttp2Between ? `${name}, HTTP/2 between` : name;
}

function toShare({ sampling = 0 }: Setup): string {
  return sampling === 0 ? 'off' : `${sampling * 100} %`;
}

function toTraced(setup: Setup): string {
  const share = toShare(setup);
  return share === 'off' ? 'not traced' : `${share} traced`;
}
