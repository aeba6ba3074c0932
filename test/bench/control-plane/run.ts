import { bundle } from '../processes.ts';
import type { Section } from '../report.ts';
import type { Size } from '../size.ts';
import { type ChangeKind, changeKinds, type MeshShape } from './mesh-files.ts';
import { type Cell, type Engine, engines, type Repetition, type Results, toName } from './results.ts';
import { programFiles, runOnce } from './run-once.ts';
import { toSecuredSection } from './secured-section.ts';
import { toSections } from './sections.ts';

/** Changes, storms and memory in plaintext: what the control plane itself costs. */
export async function benchControlPlane(size: Size, only: string | undefined): Promise<Section[]> {
  return toSections(
    await runCells(
      toCells(size).filter((cell) => only === undefined || only === toName(cell)),
      size,
    ),
  );
}

/** Storms and one change as production has them: TLS 1.3 and a token for each proxy. */
export async function benchSecured(size: Size): Promise<Section[]> {
  return [toSecuredSection(await runCells(toSecuredCells(size), size))];
}

async function runCells(cells: readonly Cell[], size: Size): Promise<Results> {
  const programs = await bundle(programFiles);
  const results = new Map(
    cells.map((cell) => [cell, new Map<Engine, Repetition[]>(engines.map((name) => [name, []]))]),
  );
  for (const [cell, byEngine] of results) {
    for (let repetition = 0; repetition < cell.repetitions; repetition++) {
      for (const engine of engines) byEngine.get(engine)?.push(await runOnce(cell, engine, programs, size));
    }
  }
  return results;
}

function toCell(
  proxies: number,
  mode: MeshShape['mode'],
  repetitions: number,
  rounds: number,
  kinds: readonly ChangeKind[] = changeKinds,
): Cell {
  return { shape: { services: proxies, proxies, mode }, isSecured: false, kinds, repetitions, rounds };
}

function toCells(size: Size): Cell[] {
  switch (size) {
    case 'tiny':
      return [toCell(10, 'enforce', 1, 1), toCell(100, 'permissive', 1, 1)];
    case 'quick':
      return [
        toCell(10, 'enforce', 1, 7),
        toCell(100, 'permissive', 1, 3),
        toCell(100, 'enforce', 1, 3),
        toCell(1000, 'permissive', 1, 3),
        toCell(1000, 'enforce', 1, 3),
      ];
    case 'full':
      return [
        toCell(10, 'enforce', 2, 8),
        toCell(100, 'permissive', 2, 5),
        toCell(100, 'enforce', 2, 5),
        toCell(1000, 'permissive', 2, 4),
        toCell(1000, 'enforce', 2, 4),
      ];
  }
}

function toSecuredCells(size: Size): Cell[] {
  const cell = (proxies: number, mode: MeshShape['mode'], repetitions: number, rounds: number): Cell => ({
    ...toCell(proxies, mode, repetitions, rounds, ['weight']),
    isSecured: true,
  });
  switch (size) {
    case 'tiny':
      return [cell(20, 'permissive', 1, 1)];
    case 'quick':
      return [cell(100, 'permissive', 1, 5), cell(1000, 'permissive', 1, 5)];
    case 'full':
      return [cell(100, 'permissive', 2, 6), cell(1000, 'permissive', 2, 6), cell(1000, 'enforce', 2, 6)];
  }
}
