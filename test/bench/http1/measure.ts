import { cpuSeconds, pause, progress, quantile, rssMiB } from '../processes.ts';
import type { Held, HoldTarget, RateResult, RateTarget } from './client.ts';
import { load } from './load.ts';
import type { BenchProtocol } from './setup.ts';
import type { Running, Setup, Stage } from './setups.ts';

/** How long and how often. */
export interface Effort {
  readonly seconds: number;
  /** In turns, between processes that were started once. */
  readonly rounds: number;
  /** With processes started anew. */
  readonly repetitions: number;
  readonly connections: number;
  /** Requests per second at the fixed rate. */
  readonly perSecond: number;
  readonly rateSeconds: number;
  readonly rateRounds: number;
  readonly starts: number;
  readonly held: number;
}

/** One run as fast as it goes. */
export interface Saturated {
  /** CPU seconds of both proxies per 10,000 requests. */
  readonly cpu: number;
  readonly rate: number;
  readonly failed: number;
  /** Of the larger proxy. */
  readonly rss: number;
  /** Spans that arrived of those that were to be made: about, for they are sent later. */
  readonly spans: number;
}

/** One run at a fixed rate, and what it took beyond the app alone just before; milliseconds. */
export interface Added {
  readonly p50: number;
  readonly p99: number;
  readonly cpu: number;
  readonly failed: number;
}

export interface Footprint {
  readonly startMillis: number;
  /** MiB: outbound, inbound. */
  readonly idle: readonly [number, number];
  readonly held: readonly [number, number];
  readonly failed: number;
}

const warmRequests = 12_000;

type All<T> = ReadonlyMap<Setup, readonly T[]>;

export async function measureSaturated(
  stage: Stage,
  protocol: BenchProtocol,
  setups: readonly Setup[],
  effort: Effort,
): Promise<All<Saturated>> {
  const results = new Map<Setup, Saturated[]>(setups.map((setup) => [setup, []]));
  for (let repetition = 0; repetition < effort.repetitions; repetition++) {
    await withAll(stage, setups, async (all) => {
      for (const { port } of all) await warm(protocol, port, effort);
      for (let round = 0; round < effort.rounds; round++) {
        for (const running of all) {
          await stage.collector.ask('taken');
          const before = running.pids.map(cpuSeconds);
          const { requests, rate, failed } = await load(protocol, running.port, effort.seconds, effort.connections);
          const used = running.pids.reduce((sum, pid, i) => sum + cpuSeconds(pid) - (before[i] ?? 0), 0);
          const spans = await stage.collector.ask<number>('taken');
          results.get(running.setup)?.push({
            cpu: (used / requests) * 10_000,
            rate,
            failed,
            rss: Math.max(...running.pids.map(rssMiB)),
            spans: spans / (2 * requests * (running.setup.sampling ?? 0)),
          });
        }
      }
    });
  }
  for (const [{ name }, all] of results)
    progress(`  ${protocol} ${name}: ${all.map(({ cpu }) => cpu.toFixed(3)).join(' ')}`);
  return results;
}

/** Until so much has been done that the compilers of Node have what they need; on a busy machine that takes longer. */
async function warm(protocol: BenchProtocol, port: number, { seconds, connections }: Effort): Promise<void> {
  let done = 0;
  for (let turn = 0; turn < 4 && done < warmRequests; turn++) {
    done += (await load(protocol, port, Math.min(2, seconds), connections)).requests;
  }
}

export interface AtRate {
  /** Of the app alone, milliseconds. */
  readonly direct: readonly Added[];
  readonly added: All<Added>;
}

export async function measureAtRate(
  stage: Stage,
  protocol: BenchProtocol,
  setups: readonly Setup[],
  effort: Effort,
): Promise<AtRate> {
  const { perSecond, rateSeconds: seconds, rateRounds, connections } = effort;
  const isHttp2 = protocol === 'http2' || protocol === 'grpc';
  const direct: Added[] = [];
  const added = new Map<Setup, Added[]>(setups.map((setup) => [setup, []]));
  const ask = async (port: number): Promise<RateResult> => {
    const target: RateTarget = { protocol, port, perSecond, seconds, connections: connections / (isHttp2 ? 4 : 2) };
    return stage.client.ask<RateResult>('rate', target);
  };
  await withAll(stage, setups, async (all) => {
    for (const { port } of all) await load(protocol, port, Math.min(2, effort.seconds), connections);
    await ask(stage.app);
    for (let round = 0; round < rateRounds; round++) {
      const alone = toQuantiles(await ask(stage.app));
      direct.push({ ...alone, cpu: 0 });
      for (const { setup, port, pids } of all) {
        const before = pids.map(cpuSeconds);
        const result = await ask(port);
        const used = pids.reduce((sum, pid, i) => sum + cpuSeconds(pid) - (before[i] ?? 0), 0);
        const { p50, p99, failed } = toQuantiles(result);
        const cpu = (used / result.requests) * 10_000;
        added.get(setup)?.push({ p50: p50 - alone.p50, p99: p99 - alone.p99, cpu, failed });
      }
    }
  });
  return { direct, added };
}

function toQuantiles({ times, failed }: RateResult): Omit<Added, 'cpu'> {
  return { p50: quantile(times, 0.5), p99: quantile(times, 0.99), failed };
}

/** Each start is a process of its own; in turns. */
export async function measureFootprint(
  stage: Stage,
  protocol: BenchProtocol,
  setups: readonly Setup[],
  { starts, repetitions, held }: Effort,
): Promise<All<Footprint>> {
  const results = new Map<Setup, Footprint[]>(setups.map((setup) => [setup, []]));
  for (let start = 0; start < starts; start++) {
    for (const setup of setups) {
      const running = await stage.start(setup);
      try {
        results.get(setup)?.push(await weigh(stage, protocol, running, start < repetitions ? held : 0));
      } finally {
        await running.stop();
      }
    }
  }
  return results;
}

async function weigh(stage: Stage, protocol: BenchProtocol, running: Running, connections: number): Promise<Footprint> {
  const { startMillis, port, pids } = running;
  const rss = (): [number, number] => [rssMiB(pids[0]), rssMiB(pids[1])];
  const unknown: [number, number] = [Number.NaN, Number.NaN];
  if (connections === 0) return { startMillis, idle: unknown, held: unknown, failed: 0 };
  await pause(1_000);
  const idle = rss();
  const { failed } = await stage.client.ask<Held>('hold', { protocol, port, connections } satisfies HoldTarget);
  await pause(2_000);
  const footprint = { startMillis, idle, held: rss(), failed };
  await stage.client.ask('release');
  return footprint;
}

async function withAll(stage: Stage, setups: readonly Setup[], run: (all: Running[]) => Promise<void>): Promise<void> {
  const all: Running[] = [];
  try {
    for (const setup of setups) all.push(await stage.start(setup));
    await run(all);
  } finally {
    for (const each of all) await each.stop();
  }
}
