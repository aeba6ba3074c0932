import { mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import type { Usage } from '../answer.ts';
import { type BenchProcess, benchFolder, launch, monotonic, pause, progress } from '../processes.ts';
import type { Size } from '../size.ts';
import type { ClientTarget, Collected, CollectTarget, Connected } from './client.ts';
import { toClientCredentials, writeTokens } from './credentials.ts';
import { type ChangeKind, concerned, lastRoundOf, type MeshShape, prepareChange, writeMesh } from './mesh-files.ts';
import { type Cell, type Engine, type Repetition, type Round, type Storm, toName } from './results.ts';

/** Milliseconds after the last ACK in which no other has come. */
const quiet = 300;
const timeLimit = 60_000;
export const protosFile = join(import.meta.dirname, '../../../build/protos.json');
export const programFiles = ['tulle-main', 'peer-main', 'client-main', 'relay-main'].map((name) =>
  join(import.meta.dirname, `${name}.ts`),
);

/** One server of one mesh, from its start to the storm of those that come back. */
export async function runOnce(
  cell: Cell,
  engine: Engine,
  programs: ReadonlyMap<string, string>,
  size: Size,
): Promise<Repetition> {
  const { shape, rounds, kinds, isSecured } = cell;
  const folder = mkdtempSync(join(benchFolder, 'mesh-'));
  const goFolder = mkdtempSync(join(benchFolder, 'go-'));
  // A unix socket is in it: its path must be short.
  const secrets = mkdtempSync(join(tmpdir(), 'tulle-b-'));
  const program = (name: string): string => programs.get(`control-plane/${name}`) ?? '';
  writeMesh(folder, shape);
  if (isSecured) await writeTokens(secrets, shape);
  lastRoundOf.set(shape, 0);
  const server = launch(program(`${engine}-main`), [
    folder,
    engine === 'tulle' ? protosFile : goFolder,
    JSON.stringify(shape),
    ...(isSecured ? [secrets] : []),
  ]);
  const client = launch(program('client-main'), []);
  try {
    const port = await server.ask<number>('port');
    const usage = (): Promise<Usage> => server.ask('usage');
    const storm = async (known: boolean): Promise<Storm> => {
      await usage();
      const credentials = isSecured ? { credentials: toClientCredentials(secrets) } : {};
      const target: ClientTarget = { port, shape, known, timeLimit, comesBack: true, ...credentials };
      const connected = await client.ask<Connected>('connect', target);
      if (connected.missing > 0 || connected.failures.length > 0) {
        progress(`  ${connected.missing} proxies did not get everything: ${connected.failures.join('; ')}`);
      }
      if (connected.again > 0) progress(`  ${connected.again} connections were made again`);
      const used = await usage();
      return { ...connected, cpu: used.cpu, pause: used.pause };
    };
    progress(`${toName(cell)} ${engine}`);
    const cold = await storm(false);
    progress(`  cold ${toLine(cold.times)} cpu ${cold.cpu.toFixed(2)}`);
    if (cold.missing > 0) throw new Error(`${toName(cell)} ${engine}: the cold storm did not end`);
    await pause(size === 'full' ? 2_000 : 1_000);

    const changes = new Map<ChangeKind, Round[]>(kinds.map((kind) => [kind, []]));
    const setup = { folder, goFolder, shape, engine, server, client };
    for (let round = 1; round <= rounds + 1; round++) {
      for (const kind of kinds) {
        const measured = await change(setup, kind, round);
        // The first one runs code that is not compiled yet.
        if (round > 1) changes.get(kind)?.push(measured);
      }
    }
    for (const [kind, all] of changes) {
      progress(`  ${kind}: last ${all.map(({ last }) => last.toFixed(1)).join(' ')}, strays ${sum(all, 'strays')}`);
    }

    await usage();
    const settling = { tiny: 1_000, quick: 3_000, full: 5_000 }[size];
    await pause(settling);
    const rest = await usage();
    const settled = rest.rss;
    const idle = (rest.cpu * 1000) / (settling / 1000);
    await client.ask('disconnect');
    await pause(1_000);
    const reconnect = await storm(true);
    progress(`  reconnect ${toLine(reconnect.times)} cpu ${reconnect.cpu.toFixed(2)}`);
    const { peak } = await usage();
    progress(`  settled ${settled.toFixed(0)} MiB, peak ${peak.toFixed(0)} MiB, idle ${idle.toFixed(1)} ms/s`);
    return { cold, reconnect, changes, settled, peak, idle };
  } finally {
    await client.stop();
    await server.stop();
    for (const each of [folder, goFolder, secrets]) rmSync(each, { recursive: true, force: true });
  }
}

interface Setup {
  readonly folder: string;
  readonly goFolder: string;
  readonly shape: MeshShape;
  readonly engine: Engine;
  readonly server: BenchProcess;
  readonly client: BenchProcess;
}

async function change(setup: Setup, kind: ChangeKind, round: number): Promise<Round> {
  const { folder, goFolder, shape, engine, server, client } = setup;
  const apply = prepareChange(folder, shape, kind, round);
  if (engine === 'peer') {
    await server.ask('prepare');
    apply();
    await server.ask('prepared');
  }
  await pause(150);
  await server.ask('usage');
  await client.ask('arm');
  const start = monotonic();
  if (engine === 'peer') writeFileSync(join(goFolder, `${kind}-${round}`), '');
  else apply();
  const collected = await client.ask<Collected>('collect', { quiet, timeLimit: 20_000 } satisfies CollectTarget);
  const used = await server.ask<Usage>('usage');
  if (kind === 'target') lastRoundOf.set(shape, round);
  if (collected.acks.length === 0) progress(`  ${kind}: nothing arrived ${collected.failures.join('; ')}`);
  const times = collected.acks.map((at) => at - start).sort((a, b) => a - b);
  const { proxies, shared } = concerned(shape, kind, round);
  const got = shared ? collected.own : collected.proxies;
  const at = (share: number): number =>
    times[Math.min(times.length - 1, Math.floor(times.length * share))] ?? Number.NaN;
  return {
    p50: at(0.5),
    p99: at(0.99),
    last: times.at(-1) ?? Number.NaN,
    bytes: collected.bytes,
    responses: collected.responses,
    strays: got.filter((proxy) => !proxies.has(proxy)).length,
    cpu: used.cpu,
    pause: used.pause,
  };
}

function toLine(times: readonly number[]): string {
  const sorted = [...times].sort((a, b) => a - b);
  return `median ${sorted[sorted.length >> 1]?.toFixed(0)} last ${sorted.at(-1)?.toFixed(0)} ms`;
}

function sum(rounds: readonly Round[], field: 'strays'): number {
  return rounds.reduce((total, round) => total + round[field], 0);
}
