import { buildMesh } from '../catalog/build-mesh.ts';
import type { MeshModel } from '../catalog/mesh-model.ts';
import { createSmiObjects, type SmiObjects } from '../catalog/smi-objects.ts';
import type { Locate, MeshSnapshot } from '../catalog/snapshot.ts';
import type { Origin } from '../policy/origin.ts';
import type { Position, Problem } from '../problem/problem.ts';

/** One mesh at one moment, with all that tools ask of it: what was written, what it means, and where it stands. */
export interface MeshFacts {
  readonly snapshot: MeshSnapshot;
  readonly model: MeshModel;
  readonly smi: SmiObjects;
  /** Of building. */
  readonly problems: readonly Problem[];
  readonly locate: Locate;
}

/** Builds a mesh for tools that ask it questions. `locate` is the provider's. */
export function toMeshFacts(snapshot: MeshSnapshot, locate: Locate = () => undefined): MeshFacts {
  const { value: model, problems } = buildMesh(snapshot);
  return { snapshot, model, problems, locate, smi: createSmiObjects()(undefined, snapshot.smi) };
}

/** Where an object stands: at its name. */
export function placeOf({ locate }: Pick<MeshFacts, 'locate'>, origin: Origin): Position | undefined {
  return locate(origin, '/metadata/name');
}
