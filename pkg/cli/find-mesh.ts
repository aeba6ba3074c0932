import { resolve, sep } from 'node:path';
import { findMeshes, runBase, type MeshRecord } from '../local/run-directory.ts';
import { CliError, type CliContext } from './context.ts';

/** Refusals of a sidecar in a cluster name commands, and do not know by which context their reader gets there. */
const inCluster = 'a mesh in a cluster is asked with --context NAME';

export type RunningMesh = MeshRecord & { readonly path: string };

/** The running mesh that a command means: the one with these inputs or this id, or the only one. */
export function findMesh(context: CliContext, files: readonly string[] | undefined, id?: string): RunningMesh {
  const meshes = findMeshes(runBase(context.env, context.uid));
  if (meshes.length === 0)
    throw new CliError(
      `no mesh is running on this machine: start one with "tulle up -f DIR" or "tulle demo"; ${inCluster}`,
      2,
    );
  if (id !== undefined)
    return need(
      meshes.filter((mesh) => mesh.id === id),
      meshes,
      `with the id "${id}"`,
    );
  if (files === undefined || files.length === 0) {
    const [only, ...others] = meshes;
    if (only && others.length === 0) return only;
    throw new CliError(
      `several meshes are running; say which with -f and its directory or id, ${inCluster}:\n${describe(meshes)}`,
      2,
    );
  }
  const serves = ({ id, dirs }: RunningMesh): boolean =>
    files.every((file) => {
      const path = resolve(context.cwd, file);
      return file === id || dirs.some((dir) => path === dir || path.startsWith(dir + sep));
    });
  return need(meshes.filter(serves), meshes, `on ${files.join(', ')}`);
}

function need(found: readonly RunningMesh[], all: readonly RunningMesh[], what: string): RunningMesh {
  const [youngest] = found;
  if (youngest) return youngest;
  throw new CliError(`no mesh is running ${what}; these are:\n${describe(all)}`, 2);
}

function describe(meshes: readonly RunningMesh[]): string {
  return meshes.map(({ id, dirs, api }) => `  ${id}  ${dirs.join(' ')}  ${api}`).join('\n');
}
