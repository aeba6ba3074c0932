import { mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import type { Usage } from '../answer.ts';
import { type BenchProcess, benchFolder, bundle, launch, monotonic, pause, progress } from '../processes.ts';
import type { Section } from '../report.ts';
import type { ClientTarget, Collected, Connected } from './client.ts';
import { type Cell, type Engine, engines, type Repetition, type Round, type Storm, toName } from './results.ts';
import {
  type ChangeKind,
  changeKinds,
  concerned,
  lastRoundOf,
  type MeshShape,
  prepareChange,
  writeMesh,
} from './mesh-files.ts';
import { toSections } from './sections.ts';

const quiet = 400;
const timeLimit = 60_000;
const protosFile = join(import.meta.dirname, '../../../build/protos.json');

export async function benchControlPlane(isQuick: boolean, only: string | undefined): Promise<Section[]> {
  const programs = await bundle(
    ['tulle-main', 'peer-main', 'client-main'].map((name) => join(import.meta.dirname, `${name}.ts`)),
  );
  const cells = toCells(isQuick).filter(({ shape }) => only === undefined || only === toName(shape));
  const results = new Map(
    cells.map((cell) => [cell, new Map<Engine, Repetition[]>(engines.map((name) => [name, []]))]),
  );
  for (const [cell, byEngine] of results) {
    for (let repetition = 0; repetition < cell.repetitions; repetition++) {
      for (const engine of engines) {
        byEngine.get(engine)?.push(await runOnce(cell, engine, programs, isQuick));
      }
    }
  }
  return toSections(results);
}

function toCells(isQuick: boolean): Cell[] {
  const cell = (size: number, mode: MeshShape['mode'], repetitions: number, rounds: number): Cell => ({
    shape: { services: size, proxies: size, mode },
    repetitions,
    rounds,
  });
  return isQuick
    ? [
        cell(10, 'enforce', 1, 9),
        cell(100, 'permissive', 1, 4),
        cell(100, 'enforce', 1, 4),
        cell(1000, 'permissive', 1, 3),
        cell(1000, 'enforce', 1, 3),
      ]
    : [
        cell(10, 'enforce', 3, 20),
        cell(100, 'permissive', 3, 6),
        cell(100, 'enforce', 3, 6),
        cell(1000, 'permissive', 3, 5),
        cell(1000, 'enforce', 3, 5),
      ];
}

async function runOnce(
  { shape, rounds }: Cell,
  engine: Engine,
  programs: ReadonlyMap<string, string>,
  isQuick: boolean,
): Promise<Repetition> {
  const folder = mkdtempSync(join(benchFolder, 'mesh-'));
  const goFolder = mkdtempSync(join(benchFolder, 'go-'));
  const program = (name: string): string => programs.get(`control-plane/${name}`) ?? '';
  writeMesh(folder, shape);
  lastRoundOf.set(shape, 0);
  const server = launch(program(`${engine}-main`), [
    folder,
    engine === 'tulle' ? protosFile : goFolder,
    JSON.stringify(shape),
  ]);
  const client = launch(program('client-main'), []);
  try {
    const port = await server.ask<number>('port');
    const usage = (): Promise<Usage> => server.ask('usage');
    const storm = async (known: boolean): Promise<Storm> => {
      await usage();
      const target: ClientTarget = { port, shape, known, timeLimit };
      const connected = await client.ask<Connected>('connect', target);
      if (connected.missing > 0 || connected.failures.length > 0) {
        progress(`  ${connected.missing} proxies did not get everything: ${connected.failures.join('; ')}`);
      }
      const used = await usage();
      return { ...connected, cpu: used.cpu, pause: used.pause };
    };
    progress(`${toName(shape)} ${engine}`);
    const cold = await storm(false);
    progress(`  cold ${toLine(cold.times)} cpu ${cold.cpu.toFixed(2)}`);
    if (cold.missing > 0) throw new Error(`${toName(shape)} ${engine}: the cold storm did not end`);
    await pause(isQuick ? 1_000 : 3_000);

    const changes = new Map<ChangeKind, Round[]>(changeKinds.map((kind) => [kind, []]));
    const setup = { folder, goFolder, shape, engine, server, client };
    for (let round = 1; round <= rounds + 1; round++) {
      for (const kind of changeKinds) {
        const measured = await change(setup, kind, round);
        // The first one runs code that is not compiled yet.
        if (round > 1) changes.get(kind)?.push(measured);
      }
    }
    for (const [kind, all] of changes) {
      progress(`  ${kind}: last ${all.map(({ last }) => last.toFixed(1)).join(' ')}, strays ${sum(all, 'strays')}`);
    }

    await usage();
    const settling = isQuick ? 6_000 : 15_000;
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
    for (const each of [folder, goFolder]) rmSync(each, { recursive: true, force: true });
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
  await pause(300);
  await server.ask('usage');
  await client.ask('arm');
  const start = monotonic();
  if (engine === 'peer') writeFileSync(join(goFolder, `${kind}-${round}`), '');
  else apply();
  const collected = await client.ask<Collected>('collect', { quiet, timeLimit: 20_000 });
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
