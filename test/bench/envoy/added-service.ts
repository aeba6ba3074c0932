import { mkdtempSync, rmSync } from 'node:fs';
import { join } from 'node:path';
import { startEnvoy } from '../../support/envoy.ts';
import { type MeshShape, prepareChange, writeMesh } from '../control-plane/mesh-files.ts';
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
import { type Goal, type Section, toGoal, toText } from '../report.ts';

/** What one real Envoy is sent, and how long it takes, when the 501st service comes; it sees all, or a few. */
export async function benchAddedService(program: string, isQuick: boolean): Promise<Section> {
  const programs = await bundle([join(import.meta.dirname, '../control-plane/tulle-main.ts')]);
  const rows: string[][] = [];
  const goals: Goal[] = [];
  const bytes = new Map<MeshShape['mode'], number>();
  for (const mode of ['permissive', 'enforce'] as const) {
    const shape: MeshShape = { services: 500, proxies: 500, mode };
    const measured = await measure(program, programs.get('control-plane/tulle-main') ?? '', shape, isQuick ? 8 : 30);
    const m = (field: 'ms' | 'bytes'): number => median(measured.map((each) => each[field]));
    bytes.set(mode, m('bytes'));
    const reaches = mode === 'permissive' ? 'may reach it' : 'may not reach it';
    const times = measured.map(({ ms }) => ms);
    const types = measured[0]?.types ?? '';
    rows.push([reaches, toText(m('ms')), toText(quantile(times, 0.99)), m('bytes').toFixed(0), types]);
    goals.push(toGoal(`an Envoy that ${reaches}: file to ACK, ≤ 25 ms`, m('ms'), 25, ' ms'));
    progress(`  envoy, one more service: ${mode} ${times.map((ms) => ms.toFixed(1)).join(' ')}`);
  }
  const shared = bytes.get('enforce') ?? Number.NaN;
  const own = (bytes.get('permissive') ?? Number.NaN) - shared;
  goals.push(toGoal('bytes of the service itself, ≤ 2,048', own, 2048, ' B'));
  goals.push(
    toGoal('bytes of the list of what may not be reached, the same for all proxies, ≤ 2,048', shared, 2048, ' B'),
  );
  return {
    title: 'Envoy: one more service of 500',
    text: 'The controller and one real Envoy with Tulle’s configuration; from the rename of the file to its last ACK.',
    heads: ['Envoy sees', 'median ms', 'p99 ms', 'bytes', 'bytes by type'],
    rows,
    goals,
  };
}

/** Until Envoy, asked something after `since`, has answered all of it: nothing more came for a while. */
async function settled(server: BenchProcess, since: number): Promise<Progress> {
  const patience = monotonic() + 20_000;
  for (;;) {
    const now = await server.ask<Progress>('progress');
    if (now.nacks.length > 0 || (now.lastAck >= since && monotonic() - now.lastAck > quiet)) return now;
    if (monotonic() > patience) throw new Error('Envoy has not acknowledged a change for 20 s');
    // To ask costs the controller a little of the time that is measured.
    await pause(quiet / 4);
  }
}

/** Milliseconds; between the answers to one change there are a few. */
const quiet = 200;

interface Added {
  readonly ms: number;
  readonly bytes: number;
  readonly types: string;
}

/** As tulle-main gives it. */
interface Progress {
  readonly lastAck: number;
  readonly nacks: readonly string[];
  readonly bytes: Readonly<Record<string, number>>;
}

async function measure(program: string, controller: string, shape: MeshShape, rounds: number): Promise<Added[]> {
  const folder = mkdtempSync(join(benchFolder, 'mesh-'));
  const directory = mkdtempSync('/tmp/tulle-bench-');
  writeMesh(folder, shape);
  const protosFile = join(import.meta.dirname, '../../../build/protos.json');
  const server = launch(controller, [folder, protosFile, JSON.stringify(shape)]);
  let envoy: Awaited<ReturnType<typeof startEnvoy>> | undefined;
  try {
    const port = await server.ask<number>('port');
    envoy = await startEnvoy({
      program,
      directory,
      nodeId: 'pod-1',
      nodeCluster: 'n/sa-1',
      nodeMetadata: { NAMESPACE: 'n', SERVICE_ACCOUNT: 'sa-1', NAME: 'pod-1' },
      xds: { socket_address: { address: '127.0.0.1', port_value: port } },
      otlp: { pipe: { path: join(directory, 'otlp.sock') } },
    });
    const results: Added[] = [];
    let before = await settled(server, 0);
    for (let round = 0; round <= rounds; round++) {
      const apply = prepareChange(folder, shape, 'service added', round);
      before = await settled(server, before.lastAck);
      const start = monotonic();
      apply();
      const after = await settled(server, start);
      if (after.nacks.length > 0) throw new Error(`Envoy refuses: ${after.nacks.join('; ')}`);
      const byType = Object.entries(after.bytes)
        .map(([type, bytes]): [string, number] => [
          type.slice(type.lastIndexOf('.') + 1),
          bytes - (before.bytes[type] ?? 0),
        ])
        .filter(([, bytes]) => bytes > 0);
      const bytes = byType.reduce((sum, [, each]) => sum + each, 0);
      const types = byType.map(([type, each]) => `${type} ${each}`).join(', ');
      if (round > 0) results.push({ ms: after.lastAck - start, bytes, types });
    }
    return results;
  } finally {
    await envoy?.stop();
    await server.stop();
    for (const each of [folder, directory]) rmSync(each, { recursive: true, force: true });
  }
}
