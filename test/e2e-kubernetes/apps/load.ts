import { Agent } from 'node:http';
import { call, type Call } from './calls.ts';

export interface LoadOrder extends Call {
  readonly id?: string;
  readonly perSecond: number;
  /** Instead of a pace: so many at a time, each followed by the next. */
  readonly concurrency?: number;
  /** Requests go one after the other over one connection: what waits is sent as soon as the answer is there. */
  readonly oneConnection?: boolean;
  /** Statuses that count as answered as wanted; 200 unless told. */
  readonly good?: readonly number[];
}

export interface Tally {
  readonly sent: number;
  readonly ok: number;
  readonly failed: number;
  /** By what answered: status and the server's own name. */
  readonly by: Readonly<Record<string, number>>;
  /** The first failures, with their time. */
  readonly failures: readonly string[];
  readonly p50: number;
  readonly p99: number;
  /** Each request: sent, answered (both ms since 1970), by what. */
  readonly series: readonly (readonly [number, number, string])[];
}

export interface Load {
  tally(since?: number): Tally;
  /** Ends when what is under way is answered. */
  stop(): Promise<Tally>;
}

/** Sends at an even pace, open loop, and says what came of each request. */
export function startLoad(order: LoadOrder): Load {
  const agent = new Agent({ keepAlive: true, maxSockets: order.oneConnection === true ? 1 : 64 });
  const good = new Set(order.good ?? [200]);
  const series: (readonly [number, number, string])[] = [];
  const times: number[] = [];
  const by: Record<string, number> = {};
  const failures: string[] = [];
  const running = new Set<Promise<void>>();
  let sent = 0;
  let ok = 0;
  const begin = performance.now();

  async function send(): Promise<void> {
    const at = Date.now();
    const { status, headers, body, error, ms } = await call(order, agent);
    const peer = headers['x-peer'] ?? headers['identity'] ?? '';
    const key = `${status}${typeof peer === 'string' && peer !== '' ? ` ${peer}` : ''}${error === undefined ? '' : ` ${error}`}`;
    by[key] = (by[key] ?? 0) + 1;
    times.push(ms);
    series.push([at, Date.now(), key]);
    if (series.length > 20_000) series.shift();
    if (good.has(status)) ok += 1;
    else if (failures.length < 20) failures.push(`${new Date(at).toISOString()} ${key} ${body.slice(0, 120)}`);
  }
  let stopped = false;
  async function sendOn(): Promise<void> {
    while (!stopped) {
      sent += 1;
      await send();
    }
  }
  for (let index = 0; index < (order.concurrency ?? 0); index += 1) running.add(sendOn());
  const timer = setInterval(() => {
    if (order.concurrency !== undefined) return;
    const due = Math.floor(((performance.now() - begin) / 1000) * order.perSecond);
    // What a stalled process missed is sent now, as a crowd of users would.
    for (; sent < due; sent += 1) {
      const one = send().finally(() => running.delete(one));
      running.add(one);
    }
  }, 1);

  function tally(since = 0): Tally {
    const sorted = [...times].sort((a, b) => a - b);
    const at = (share: number): number => sorted[Math.min(sorted.length - 1, Math.floor(sorted.length * share))] ?? 0;
    const done = times.length;
    return {
      sent,
      ok,
      failed: done - ok,
      by,
      failures,
      p50: at(0.5),
      p99: at(0.99),
      series: since === 0 ? [] : series.filter(([start]) => start >= since),
    };
  }
  return {
    tally,
    stop: async () => {
      clearInterval(timer);
      stopped = true;
      await Promise.all(running);
      agent.destroy();
      return tally();
    },
  };
}
