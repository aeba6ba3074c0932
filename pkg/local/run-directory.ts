import { randomBytes } from 'node:crypto';
import { lstatSync, mkdirSync, readdirSync, readFileSync, renameSync, rmSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import type { MeshConfig } from '../catalog/snapshot.ts';
import { isRunning, sendSignal, type ProcessMark } from './processes.ts';

/** What other commands read to find a running mesh: `mesh.json` of its run directory. */
export interface MeshRecord {
  readonly id: string;
  /** Absolute paths of its input. */
  readonly dirs: readonly string[];
  readonly config: MeshConfig;
  readonly isolation: 'isolated' | 'proxy';
  readonly supervisorPid: number;
  readonly supervisor: ProcessMark;
  /** `http://127.0.0.1:PORT` of the controller. */
  readonly api: string;
  readonly startedAt: string;
}

export interface RunDirectory {
  readonly base: string;
  readonly path: string;
  readonly id: string;
  file(...parts: string[]): string;
  writeRecord(record: Omit<MeshRecord, 'id'>): void;
  /** Notes what was started, so that the next start can end what a dead supervisor left. */
  noteProcesses(marks: readonly ProcessMark[]): void;
  remove(): void;
}

/** Where the run directories of one user are. Short: the path of a unix socket has 104 bytes at most. */
export function runBase(env: Readonly<Record<string, string | undefined>>, uid: number): string {
  const runtime = env['XDG_RUNTIME_DIR'];
  return runtime !== undefined && runtime.startsWith('/') && runtime.length <= 32
    ? join(runtime, 'tulle')
    : `/tmp/tulle-${uid}`;
}

/** Makes a run directory that nobody else can read, and clears away those whose supervisor is dead. */
export function createRunDirectory(base: string, uid: number): RunDirectory {
  mkdirSync(base, { recursive: true, mode: 0o700 });
  const { mode } = lstatSync(base);
  const stat = lstatSync(base);
  if (!stat.isDirectory() || stat.uid !== uid || (mode & 0o077) !== 0) {
    throw new Error(`${base} is not a directory of yours alone (mode 0700): delete it, or set XDG_RUNTIME_DIR`);
  }
  removeStale(base);
  const id = randomBytes(3).toString('hex');
  const path = join(base, id);
  mkdirSync(path, { mode: 0o700 });
  for (const folder of ['control', 'pods', 'p']) mkdirSync(join(path, folder), { mode: 0o700 });
  const file = (...parts: string[]): string => join(path, ...parts);
  return {
    base,
    path,
    id,
    file,
    writeRecord: (record) => writeAtomically(file('mesh.json'), JSON.stringify({ id, ...record }, undefined, 2)),
    noteProcesses: (marks) => writeAtomically(file('processes.json'), JSON.stringify(marks)),
    remove: () => rmSync(path, { recursive: true, force: true, maxRetries: 3 }),
  };
}

export function writeAtomically(file: string, content: string): void {
  writeFileSync(`${file}.new`, content, { mode: 0o600 });
  renameSync(`${file}.new`, file);
}

/** The meshes of this user that run now, the youngest first. */
export function findMeshes(base: string): readonly (MeshRecord & { readonly path: string })[] {
  return listMeshes(base)
    .filter(({ supervisor }) => isRunning(supervisor))
    .sort((a, b) => (a.startedAt < b.startedAt ? 1 : -1));
}

function listMeshes(base: string): (MeshRecord & { readonly path: string })[] {
  const found: (MeshRecord & { readonly path: string })[] = [];
  for (const name of namesIn(base)) {
    const path = join(base, name);
    const record = readJson<MeshRecord>(join(path, 'mesh.json'));
    if (record?.supervisor !== undefined) found.push({ ...record, path });
  }
  return found;
}

function removeStale(base: string): void {
  for (const name of namesIn(base)) {
    const path = join(base, name);
    const supervisor = readJson<MeshRecord>(join(path, 'mesh.json'))?.supervisor;
    if (supervisor === undefined ? isYoung(path) : isRunning(supervisor)) continue;
    for (const mark of readJson<ProcessMark[]>(join(path, 'processes.json')) ?? []) {
      if (isRunning(mark) && !sendSignal(-mark.pid, 'SIGKILL')) sendSignal(mark.pid, 'SIGKILL');
    }
    rmSync(path, { recursive: true, force: true, maxRetries: 3 });
  }
}

/** Another supervisor may be about to write its record. */
function isYoung(path: string): boolean {
  return Date.now() - lstatSync(path).mtimeMs < 60_000;
}

function namesIn(folder: string): readonly string[] {
  try {
    return readdirSync(folder, { withFileTypes: true })
      .filter((entry) => entry.isDirectory())
      .map(({ name }) => name);
  } catch {
    return [];
  }
}

function readJson<T>(file: string): T | undefined {
  try {
    return JSON.parse(readFileSync(file, 'utf8')) as T;
  } catch {
    return undefined;
  }
}
