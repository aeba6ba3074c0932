import { mkdtempSync, readFileSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import {
  type BenchProcess,
  benchFolder,
  bundle,
  launch,
  median,
  monotonic,
  pause,
  progress,
  quantile,
} from '../processes.ts';
import type { Section } from '../report.ts';
import type { Size } from '../size.ts';
import type { ClientTarget, Collected, CollectTarget, Connected } from './client.ts';
import { toClientCredentials, writeTokens } from './credentials.ts';
import { type MeshShape, prepareChange, writeMesh } from './mesh-files.ts';
import type { RelayTarget } from './relay-main.ts';
import { programFiles, protosFile } from './run-once.ts';
import { type SlowRun, type Others, toSlowSection } from './slow-section.ts';

/** Half of the proxies are watched, the others are what the case is about. Everybody sees every service: answers are large. */
interface Effort {
  readonly shape: MeshShape;
  readonly repetitions: number;
  readonly rounds: number;
}

const efforts: Readonly<Record<Size, Effort>> = {
  tiny: { shape: { services: 50, proxies: 20, mode: 'permissive' }, repetitions: 1, rounds: 3 },
  quick: { shape: { services: 1000, proxies: 200, mode: 'permissive' }, repetitions: 1, rounds: 15 },
  full: { shape: { services: 1000, proxies: 200, mode: 'permissive' }, repetitions: 2, rounds: 25 },
};

const kinds: readonly Others[] = ['none', 'healthy', 'mute', 'slow', 'stopped'];
/** Bytes per second of who reads slowly. */
const slowRate = 16 * 1024;
/** As Envoy has it: the server may send without being asked. */
const window = 16 * 1024 * 1024;
/** Milliseconds in which the others join, and changes come meanwhile. */
const joining = 2_500;

/** Proxies that read slowly, or not at all, or never acknowledge, beside others that get changes. */
export async function benchSlow(size: Size): Promise<Section> {
  const effort = efforts[size];
  const programs = await bundle(programFiles);
  const results = new Map<Others, SlowRun[]>(kinds.map((kind) => [kind, []]));
  for (let repetition = 0; repetition < effort.repetitions; repetition++) {
    for (const kind of kinds) {
      const run = await runOnce(effort, kind, programs);
      results.get(kind)?.push(run);
      const { alone, joined, settled, cost, held, grown, connected } = run;
      progress(
        `  ${kind}: last ${median(alone).toFixed(1)} alone, ${median(joined).toFixed(1)} while they join, then ${median(settled).toFixed(1)} ms; each costs ${(cost.rss * 1024).toFixed(0)} KiB (${(cost.live * 1024).toFixed(0)} live, ${(held / 1024).toFixed(0)} in the kernel), +${(grown * 1024).toFixed(0)} later; ${connected} connected`,
      );
    }
  }
  return toSlowSection(results, effort.shape);
}

async function runOnce(
  { shape, rounds }: Effort,
  kind: Others,
  programs: ReadonlyMap<string, string>,
): Promise<SlowRun> {
  const folder = mkdtempSync(join(benchFolder, 'mesh-'));
  const secrets = mkdtempSync(join(tmpdir(), 'tulle-b-'));
  const program = (name: string): string => programs.get(`control-plane/${name}`) ?? '';
  writeMesh(folder, shape);
  await writeTokens(secrets, shape);
  const server = launch(program('tulle-main'), [folder, protosFile, JSON.stringify(shape), secrets]);
  const [watched, others, relay] = ['client-main', 'client-main', 'relay-main'].map((name) =>
    launch(program(name), []),
  );
  if (!watched || !others || !relay) throw new Error('no processes');
  try {
    const port = await server.ask<number>('port');
    const half = shape.proxies / 2;
    const target: ClientTarget = {
      ...{ port, shape, known: false, timeLimit: 60_000, credentials: toClientCredentials(secrets) },
      ...{ first: 0, count: half, comesBack: true },
    };
    const { missing } = await watched.ask<Connected>('connect', target);
    if (missing > 0) throw new Error(`${missing} of the watched proxies did not get everything`);
    const setup = { folder, shape, watched };
    let round = 0;
    // The first ones run code that is not compiled yet.
    for (let i = 0; i < 5; i++) await change(setup, ++round, half);
    const several = async (): Promise<number[]> => {
      const times: number[] = [];
      for (let i = 0; i < rounds; i++) {
        times.push(await change(setup, ++round, half));
        await pause(20);
      }
      return times;
    };
    const alone = await several();
    const before = await settle(server);

    const isThere = kind !== 'none';
    const end = monotonic() + joining;
    const joinedAll = isThere ? joinAs(kind, { ...target, first: half }, others, relay) : Promise.resolve(undefined);
    const joined: number[] = [];
    while (monotonic() < end) {
      joined.push(await change(setup, ++round, half));
      await pause(20);
    }
    const answers = await joinedAll;
    const after = await settle(server);
    const held = queuedBytes(port);
    const settled = await several();
    const later = await settle(server);
    const connected = (await server.ask<number>('clients')) - half;
    const each = (now: number, then: number): number => (now - then) / half;
    return {
      alone,
      joined,
      settled,
      cost: { rss: each(after.rss, before.rss), live: each(after.live, before.live) },
      held: held / half,
      grown: each(later.live, after.live),
      connected: isThere ? connected : 0,
      answered: (answers?.bytes ?? 0) / half,
    };
  } finally {
    for (const each of [watched, others, relay, server]) await each.stop();
    for (const each of [folder, secrets]) rmSync(each, { recursive: true, force: true });
  }
}

async function joinAs(
  kind: Others,
  target: ClientTarget,
  others: BenchProcess,
  relay: BenchProcess,
): Promise<Connected> {
  if (kind === 'healthy') return others.ask<Connected>('connect', target);
  if (kind === 'mute') return others.ask<Connected>('connect', { ...target, isMute: true });
  const rate = kind === 'slow' ? slowRate : 0;
  const port = await relay.ask<number>('listen', { port: target.port, rate } satisfies RelayTarget);
  // Nobody waits until such as these have everything.
  return others.ask<Connected>('connect', { ...target, port, window, timeLimit: joining, comesBack: false });
}

interface Memory {
  readonly live: number;
  readonly rss: number;
}

/** What lives once everything is done that is under way, and once more, for what the first time freed. */
async function settle(server: BenchProcess): Promise<Memory> {
  await pause(1_000);
  await server.ask<Memory>('memory');
  await pause(200);
  return server.ask<Memory>('memory');
}

interface Watched {
  readonly folder: string;
  readonly shape: MeshShape;
  readonly watched: BenchProcess;
}

/** Milliseconds from the rename of the file to the last ACK of the watched proxies. */
async function change({ folder, shape, watched }: Watched, round: number, proxies: number): Promise<number> {
  const apply = prepareChange(folder, shape, 'weight', round);
  await watched.ask('arm');
  const start = monotonic();
  apply();
  const target: CollectTarget = { quiet: 2_000, timeLimit: 20_000, responses: proxies };
  const { acks } = await watched.ask<Collected>('collect', target);
  if (acks.length < proxies) throw new Error(`${proxies - acks.length} of the watched proxies did not get a change`);
  return quantile(acks, 1) - start;
}

/** What the kernel holds of what a server has sent: the transmit queues of its connections (Linux, /proc/net/tcp). */
function queuedBytes(port: number): number {
  const own = `:${port.toString(16).toUpperCase().padStart(4, '0')}`;
  return readFileSync('/proc/net/tcp', 'utf8')
    .split('\n')
    .map((line) => line.trim().split(/\s+/))
    .filter(([, local = '', , state]) => local.endsWith(own) && state === '01')
    .reduce((sum, [, , , , queues = '0:0']) => sum + Number.parseInt(queues.split(':')[0] ?? '0', 16), 0);
}
