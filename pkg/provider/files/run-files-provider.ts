import type { MeshSnapshot } from '../../catalog/snapshot.ts';
import type { Problem } from '../../problem/problem.ts';
import { createAssembler } from './assemble.ts';
import type { MeshRead, ReadOptions } from './mesh-read.ts';
import { type FileEvent, watchDirectories } from './watch-directories.ts';
import { createWatchedFiles } from './watched-files.ts';

export interface FilesProviderOptions extends ReadOptions {
  readonly signal: AbortSignal;
  /**
   * Called with what the files say, first for the start and then for each change of their text. The next call comes
   * when this one has come to its end: what happens meanwhile is in it. `read` has the rest: places, workloads, texts.
   */
  readonly onSnapshot: (snapshot: MeshSnapshot, problems: readonly Problem[], read: MeshRead) => void | Promise<void>;
  /** How often everything is looked at, for what the system's watch doesn't tell; less often where that takes long. */
  readonly pollMs?: number;
}

/** Looking at everything takes one part of so many of the time, at most. */
const idleShare = 100;

/**
 * Reads files and goes on watching them, until `signal` is aborted; then it resolves. A rename, a creation or a
 * deletion is taken at once, an in-place write when it has stood still; only what changed is read again (DECISIONS E7a).
 */
export async function runFilesProvider(options: FilesProviderOptions): Promise<void> {
  const { signal, onSnapshot, podDirs, pollMs = 1000 } = options;
  const inputs = createWatchedFiles(options.inputs, { mayBeMissing: false, now: Date.now });
  const pods = podDirs && createWatchedFiles(podDirs, { mayBeMissing: true, now: Date.now });
  const assembler = createAssembler(options);
  const sources = pods ? [inputs, pods] : [inputs];
  const bell = createBell(signal);
  const note = (event: FileEvent): void => {
    for (const source of sources) source.note(event);
    bell.ring();
  };
  const watch = watchDirectories(note);
  let polledAt = 0;
  const look = (): void => {
    polledAt = performance.now();
    note({ kind: 'unknown' });
  };
  let poll = setTimeout(look, pollMs);

  try {
    for (let isFirst = true; !signal.aborted; isFirst = false) {
      const results = await Promise.all(sources.map((source) => source.refresh()));
      if (polledAt > 0) {
        poll = setTimeout(look, Math.max(pollMs, idleShare * (performance.now() - polledAt)));
        polledAt = 0;
      }
      // What changed between the reading and the watching of a new directory is found by looking again.
      if (watch.set(sources.flatMap((source) => source.directories()))) note({ kind: 'unknown' });
      if (signal.aborted) return;
      if (isFirst || results.some(({ changed }) => changed)) {
        const read = assembler.assemble(inputs.files(), pods?.files());
        await onSnapshot(read.snapshot, read.problems, read);
      }
      await bell.wait(Math.min(...results.map(({ again }) => again ?? Number.POSITIVE_INFINITY)));
    }
  } finally {
    clearTimeout(poll);
    watch.close();
  }
}

/** Lets one loop sleep until something happens; what happened before it sleeps isn't lost. */
function createBell(signal: AbortSignal): { ring(): void; wait(ms: number): Promise<void> } {
  let rung = false;
  let wake = (): void => {
    rung = true;
  };
  const ring = (): void => wake();
  signal.addEventListener('abort', ring, { once: true });

  return {
    ring,
    wait: (ms) =>
      new Promise((resolve) => {
        let timer: NodeJS.Timeout | undefined;
        const finish = (): void => {
          clearTimeout(timer);
          rung = false;
          wake = () => {
            rung = true;
          };
          resolve();
        };
        if (rung || signal.aborted) return finish();
        if (Number.isFinite(ms)) timer = setTimeout(finish, ms);
        wake = finish;
      }),
  };
}
