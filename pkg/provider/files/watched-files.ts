import { stat } from 'node:fs/promises';
import { dirname } from 'node:path';
import type { SourceFile } from './placed-objects.ts';
import { type FileTree, isManifest, listFiles, toPlainPath } from './file-tree.ts';
import { faultsOf, readSource } from './read-mesh.ts';
import type { FileEvent } from './watch-directories.ts';

/** How long a file that is written in place must have stood still, and one that vanished have been gone (DECISIONS E7a). */
const settleMs = 50;

/**
 * The files below some inputs, kept up to date. A file that was moved into its place is taken at once; one that is
 * being written in place when its size and times have stood still: half a file is valid YAML of a smaller mesh.
 * Editors and git replace a file by deleting it and writing another: what vanished counts until it has been gone as long.
 */
export interface WatchedFiles {
  /** Notes that something happened; `refresh` looks at it. */
  note(event: FileEvent): void;
  /** Brings `files` up to date. `again`: milliseconds until a file that is being written may be taken. */
  refresh(): Promise<{ readonly changed: boolean; readonly again?: number }>;
  files(): readonly SourceFile[];
  /** Whose entries matter. */
  directories(): readonly string[];
}

interface Taken {
  readonly stamp: Stamp;
  readonly source: SourceFile;
}

interface Stamp {
  readonly inode: bigint;
  /** All that changes when a file does. */
  readonly text: string;
  readonly isEmpty: boolean;
  readonly changedAt: number;
}

export function createWatchedFiles(
  paths: readonly string[],
  options: { readonly mayBeMissing: boolean; readonly now: () => number },
): WatchedFiles {
  const { mayBeMissing, now } = options;
  const inputs = paths.map(toPlainPath);
  const parents = inputs.filter((path) => path !== '-').map((path) => dirname(path));
  let tree: FileTree = { files: [], directories: [], faults: [] };
  let listed: ReadonlySet<string> = new Set();
  /** `tree.files`, and what vanished but still counts, in its place. */
  let order: readonly string[] = [];
  /** Listed and never taken. */
  let fresh: readonly string[] = [];
  /** What `files` gives, until something is taken or goes. */
  let given: readonly SourceFile[] | undefined;
  let isFirst = true;
  let listAgain = true;
  let checkAll = true;
  let moved = new Set<string>();
  let written = new Set<string>();
  const taken = new Map<string, Taken>();
  const settling = new Map<string, { readonly stamp: string; readonly since: number }>();
  const vanished = new Map<string, number>();

  function note(event: FileEvent): void {
    if (event.kind === 'unknown') {
      listAgain = true;
      checkAll = true;
      return;
    }
    const { kind, path } = event;
    if (!tree.directories.includes(dirname(path)) && !inputs.includes(path)) return;
    const isFile = isManifest(path) || taken.has(path);
    if (kind === 'written') {
      if (isFile) written.add(path);
      return;
    }
    if (isFile) moved.add(path);
    // What was there is looked at, and found gone if it is: listing costs all files.
    if (taken.has(path)) return;
    listAgain = true;
    // A directory, or a link to one, may have brought or changed any number of files.
    if (!isFile) checkAll = true;
  }

  async function refresh(): Promise<{ changed: boolean; again?: number }> {
    const [all, justMoved, justWritten] = [checkAll, moved, written];
    checkAll = false;
    moved = new Set();
    written = new Set();
    let changed = false;
    if (listAgain || vanished.size > 0) {
      listAgain = false;
      changed = await list();
    }
    // What nothing was heard of is not looked at, not even for being passed over.
    const noted = new Set([...justMoved, ...justWritten, ...settling.keys(), ...fresh]);
    const due = all ? tree.files : [...noted].filter((path) => listed.has(path));
    for (let i = 0; i < due.length; i += 32) {
      const results = await Promise.all(
        due.slice(i, i + 32).map((path) => look(path, justMoved.has(path) && !justWritten.has(path))),
      );
      changed ||= results.includes(true);
    }
    isFirst = false;
    fresh = fresh.filter((path) => !taken.has(path));
    const since = [...[...settling.values()].map((wait) => wait.since), ...vanished.values()];
    const waits = since.map((start) => Math.max(1, start + settleMs - now()));
    if (listAgain) waits.push(1);
    return waits.length > 0 ? { changed, again: Math.min(...waits) } : { changed };
  }

  /** True when files or faults went, so that the mesh changed without any file having been read. */
  async function list(): Promise<boolean> {
    const next = await listFiles(inputs);
    let changed = !mayBeMissing && JSON.stringify(tree.faults) !== JSON.stringify(next.faults);
    tree = mayBeMissing ? { ...next, faults: [] } : next;
    listed = new Set(tree.files);
    fresh = tree.files.filter((path) => !taken.has(path));
    given = undefined;
    for (const path of [...settling.keys(), ...vanished.keys()]) {
      if (listed.has(path)) vanished.delete(path);
      else settling.delete(path);
    }
    for (const path of taken.keys()) {
      if (listed.has(path)) continue;
      const since = vanished.get(path) ?? now();
      vanished.set(path, since);
      if (now() - since < settleMs) continue;
      forget(path);
      changed = true;
    }
    order = withVanished(tree.files, order, vanished);
    return changed;
  }

  function forget(path: string): void {
    given = undefined;
    taken.delete(path);
    vanished.delete(path);
  }

  /** Looks at one file, and takes it when it has changed and may be taken. True when something changed. */
  async function look(path: string, isMoved: boolean): Promise<boolean> {
    const before = taken.get(path);
    const stamp = path === '-' ? stdinStamp : await stampOf(path);
    if (stamp === undefined) {
      listAgain = true;
      return false;
    }
    if (stamp.text === before?.stamp.text) {
      settling.delete(path);
      return false;
    }
    const renamedFrom = before ? undefined : vanishedWith(stamp.inode);
    const stoodStill = hasSettled(path, stamp) || now() - stamp.changedAt > settleMs;
    const atOnce = isFirst || stoodStill || renamedFrom !== undefined || (isMoved && !stamp.isEmpty);
    if (!atOnce) return wait(path, stamp);
    const source = await readSource(path, (before ?? taken.get(renamedFrom ?? ''))?.source);
    // What is being written shows now: an event that came meanwhile, or other times than before.
    const isUnsteady = written.has(path) || (path !== '-' && (await stampOf(path))?.text !== stamp.text);
    if (!isFirst && !stoodStill && isUnsteady) return wait(path, stamp);
    if (renamedFrom !== undefined) forget(renamedFrom);
    settling.delete(path);
    taken.set(path, { stamp, source });
    if (source === before?.source) return false;
    given = undefined;
    return true;
  }

  function vanishedWith(inode: bigint): string | undefined {
    return [...vanished.keys()].find((path) => taken.get(path)?.stamp.inode === inode);
  }

  function hasSettled(path: string, stamp: Stamp): boolean {
    const waiting = settling.get(path);
    return waiting !== undefined && waiting.stamp === stamp.text && now() - waiting.since >= settleMs;
  }

  function wait(path: string, stamp: Stamp): false {
    if (settling.get(path)?.stamp !== stamp.text) settling.set(path, { stamp: stamp.text, since: now() });
    return false;
  }

  function sources(): SourceFile[] {
    const found: SourceFile[] = [];
    for (const path of order) {
      const source = taken.get(path)?.source;
      if (source) found.push(source);
    }
    return found;
  }

  return {
    note,
    refresh,
    files: () => (given ??= [...sources(), ...faultsOf(tree)]),
    directories: () => [...new Set([...tree.directories, ...parents])],
  };
}

/** Puts what vanished behind what it stood behind. */
function withVanished(
  files: readonly string[],
  before: readonly string[],
  vanished: ReadonlyMap<string, number>,
): readonly string[] {
  if (vanished.size === 0) return files;
  const result = [...files];
  for (const [i, path] of before.entries()) {
    if (!vanished.has(path)) continue;
    const predecessor = before.slice(0, i).findLast((other) => result.includes(other));
    result.splice(predecessor === undefined ? 0 : result.indexOf(predecessor) + 1, 0, path);
  }
  return result;
}

const stdinStamp: Stamp = { inode: 0n, text: 'stdin', isEmpty: false, changedAt: 0 };

/** Undefined when the file is gone. */
async function stampOf(path: string): Promise<Stamp | undefined> {
  try {
    const { ino, size, mtimeNs, ctimeNs, mtimeMs, ctimeMs } = await stat(path, { bigint: true });
    return {
      inode: ino,
      text: [ino, size, mtimeNs, ctimeNs].join(' '),
      isEmpty: size === 0n,
      changedAt: Number(mtimeMs > ctimeMs ? mtimeMs : ctimeMs),
    };
  } catch {
    return undefined;
  }
}
