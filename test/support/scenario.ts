import { existsSync, readdirSync, readFileSync } from 'node:fs';
import { join } from 'node:path';
import { parse } from 'yaml';
import { buildMesh } from '../../pkg/catalog/build-mesh.ts';
import type { MeshModel } from '../../pkg/catalog/mesh-model.ts';
import type { MeshConfig, MeshSnapshot } from '../../pkg/catalog/snapshot.ts';
import type { Problem } from '../../pkg/problem/problem.ts';
import { readMesh } from '../../pkg/provider/files/read-mesh.ts';
import { withPositions } from '../../pkg/provider/files/with-positions.ts';
import { type Call, decodeCalls } from '../conformance/calls.ts';

const root = join(import.meta.dirname, '..', 'scenarios');

/** One folder of test/scenarios: a mesh as users write it, and what must follow from it. */
export interface Scenario {
  readonly name: string;
  readonly folder: string;
  /** `mesh.in.yaml`, and what stands beside it in `config.in.yaml`: mode, pathMatch, …. */
  readonly snapshot: MeshSnapshot;
  readonly model: MeshModel;
  /** Of reading and of building, with positions. */
  readonly problems: readonly Problem[];
  readonly calls: readonly Call[];
}

export const scenarioConfig: MeshConfig = {
  mode: 'enforce',
  modeFrom: 'default',
  pathMatch: 'full',
  trustDomain: 'cluster.local',
  egress: 'deny',
  tracing: { sampling: 1 },
};

/** Every scenario, by folder name. */
export function scenarioNames(): readonly string[] {
  const folders = readdirSync(root, { withFileTypes: true }).filter((entry) => entry.isDirectory());
  return folders.map(({ name }) => name).sort();
}

/** The path of a file of a scenario: `scenarioFile('canary', 'mesh.in.yaml')`. */
export function scenarioFile(name: string, file: string): string {
  return join(root, name, file);
}

export async function loadScenario(name: string): Promise<Scenario> {
  const input = scenarioFile(name, 'mesh.in.yaml');
  const config = { ...scenarioConfig, ...(readYaml(scenarioFile(name, 'config.in.yaml')) as Partial<MeshConfig>) };
  const { snapshot, problems: readProblems, locate } = await readMesh({ inputs: [input], config });
  const { value: model, problems } = buildMesh(snapshot);
  const placed = [...readProblems, ...withPositions(problems, locate)].map((problem) => withoutFolder(problem, input));
  const calls = decodeCalls(readYaml(scenarioFile(name, 'calls.yaml')), name);
  return { name, folder: join(root, name), snapshot, model, problems: placed, calls };
}

function readYaml(file: string): unknown {
  return existsSync(file) ? parse(readFileSync(file, 'utf8')) : undefined;
}

/** The same text wherever the tree is checked out. */
function withoutFolder(problem: Problem, input: string): Problem {
  const { position } = problem;
  return position?.file === input ? { ...problem, position: { ...position, file: 'mesh.in.yaml' } } : problem;
}
