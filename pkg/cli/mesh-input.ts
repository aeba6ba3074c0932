import { isAbsolute, join, relative, resolve } from 'node:path';
import type { MeshConfig } from '../catalog/snapshot.ts';
import { type MeshFacts, toMeshFacts } from '../explain/mesh-facts.ts';
import type { Rendering } from '../explain/render-explanation.ts';
import type { Position } from '../problem/problem.ts';
import type { MeshRead } from '../provider/files/mesh-read.ts';
import { readMesh } from '../provider/files/read-mesh.ts';
import { type ClusterAccess, withCluster } from './cluster-access.ts';
import { type ClusterFlags, meansCluster } from './cluster-flags.ts';
import { CliError, type CliContext } from './context.ts';
import { findMesh, type RunningMesh } from './find-mesh.ts';
import { type MeshConfigFlags, toMeshConfig } from './mesh-config.ts';
import { overlay } from './overlay.ts';
import { paintFor } from './table.ts';

export interface InputFlags extends Pick<MeshConfigFlags, 'mode' | 'pathMatch'>, ClusterFlags {
  /** Empty: the running mesh's own. With a cluster: laid over it, as if they were applied. */
  readonly file?: readonly string[];
  /** For objects of files that name none. Of a cluster that may not be read as a whole these are read, separated by commas. */
  readonly namespace?: string;
}

export interface MeshInput {
  readonly read: Pick<MeshRead, 'problems' | 'locate' | 'objects' | 'files'>;
  readonly facts: MeshFacts;
  /** Absent: files or a cluster were given. */
  readonly mesh?: RunningMesh;
  /** Of files over a cluster: the cluster without them. */
  readonly before?: MeshInput;
}

/** Reads a cluster or the files that were given, or those of the running mesh with its pods as they are. 2: none is there. */
export async function readInput(context: CliContext, flags: InputFlags): Promise<MeshInput> {
  if (meansCluster(flags)) return withCluster(context, flags, (access) => readOverCluster(context, access, flags));
  if (flags.file !== undefined && flags.file.length > 0) return readFiles(context, flags.file, flags);
  const mesh = findRunningMesh(context);
  const config = toMeshConfig(flags, mesh.config);
  const read = await readMesh({ inputs: mesh.dirs, podDirs: [join(mesh.path, 'pods')], config });
  return { read, facts: toMeshFacts(read.snapshot, read.locate), mesh };
}

/** What a cluster has, and files laid over it when there are some. */
async function readOverCluster(context: CliContext, access: ClusterAccess, flags: InputFlags): Promise<MeshInput> {
  const { namespacesOf, readClusterMesh } = await import('./cluster-input.ts');
  const now = await readClusterMesh(context, access, flags);
  const { file = [], mode, pathMatch } = flags;
  if (file.length === 0) return now;
  const [namespace = access.cluster.namespace] = namespacesOf(flags) ?? [];
  const given = { namespace, ...(mode !== undefined && { mode }), ...(pathMatch !== undefined && { pathMatch }) };
  return overlay(now, await readFiles(context, file, given, now.facts.snapshot.config));
}

export async function readFiles(
  { cwd }: CliContext,
  files: readonly string[],
  flags: Omit<InputFlags, 'file'>,
  before?: MeshConfig,
): Promise<MeshInput> {
  const { namespace } = flags;
  const inputs = files.map((file) => (file === '-' ? file : resolve(cwd, file)));
  const config = toMeshConfig(flags, before);
  const read = await readMesh({ inputs, config, ...(namespace !== undefined && { defaultNamespace: namespace }) });
  const unreadable = read.problems.find(
    ({ reason, position }) => reason === 'FileUnreadable' && inputs.includes(position?.file ?? ''),
  );
  if (unreadable) {
    throw new CliError(`${displayFile(cwd, unreadable.position?.file ?? '')}: ${unreadable.message}`, 2);
  }
  return { read, facts: toMeshFacts(read.snapshot, read.locate) };
}

/** The running mesh that is meant; that there is none means that the command could not run. */
export function findRunningMesh(context: CliContext, files?: readonly string[]): RunningMesh {
  try {
    return findMesh(context, files);
  } catch (error) {
    if (error instanceof CliError)
      throw new CliError(`${error.message}\n(or give files with -f, or a cluster with --context)`, 2);
    throw error;
  }
}

/** As somebody in this directory would write it. */
export function displayFile(cwd: string, file: string): string {
  if (!isAbsolute(file)) return file;
  const near = relative(cwd, file);
  return near.startsWith('..') ? file : near;
}

export function displayPlace(cwd: string, { file, line, column }: Position): string {
  return `${displayFile(cwd, file)}:${line}:${column}`;
}

export function toRendering(context: CliContext): Rendering {
  return { ...paintFor(context), place: (position) => displayPlace(context.cwd, position) };
}

export function writeLines({ stdout }: Pick<CliContext, 'stdout'>, lines: readonly string[]): void {
  if (lines.length > 0) stdout.write(`${lines.join('\n')}\n`);
}

/** Places in files are written as in text: from the current directory on where they are in it. */
export function writeJson({ stdout, cwd }: Pick<CliContext, 'stdout' | 'cwd'>, value: unknown): void {
  const near = (_key: string, part: unknown): unknown =>
    isPosition(part) ? { ...part, file: displayFile(cwd, part.file) } : part;
  stdout.write(`${JSON.stringify(value, near, 2)}\n`);
}

function isPosition(value: unknown): value is Position {
  if (typeof value !== 'object' || value === null) return false;
  const { file, line, column } = value as Partial<Record<keyof Position, unknown>>;
  return typeof file === 'string' && typeof line === 'number' && typeof column === 'number';
}

/** What must not be mistaken for a "no": anything that keeps the command from answering is 2. */
export async function orTwo(answer: () => Promise<number>): Promise<number> {
  try {
    return await answer();
  } catch (error) {
    if (error instanceof CliError) throw error.exitCode === 2 ? error : new CliError(error.message, 2);
    throw new CliError(error instanceof Error ? (error.stack ?? error.message) : String(error), 2);
  }
}
