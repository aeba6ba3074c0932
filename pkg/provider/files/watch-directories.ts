import { type FSWatcher, watch } from 'node:fs';
import { basename, join } from 'node:path';

/** `moved`: it came, went or was replaced as a whole. `written`: its content changes in place. */
export type FileEvent = { readonly kind: 'moved' | 'written'; readonly path: string } | { readonly kind: 'unknown' };

export interface DirectoryWatch {
  /**
   * Watches exactly these directories from now on; true when some are new, so that their content may have changed
   * before. One that can't be watched is left to polling.
   */
  set(directories: readonly string[]): boolean;
  close(): void;
}

/** Watches directories, not files: an editor that replaces a file would take the watch of the old one along. */
export function watchDirectories(onEvent: (event: FileEvent) => void): DirectoryWatch {
  const watchers = new Map<string, FSWatcher>();

  function drop(directory: string): void {
    watchers.get(directory)?.close();
    watchers.delete(directory);
  }

  function add(directory: string): boolean {
    try {
      const watcher = watch(directory, { persistent: true }, (type, name) => {
        // When the directory itself goes, its own name is told (Linux), or none at all; its watch is dead then.
        if (name === basename(directory)) drop(directory);
        if (name === null || name === basename(directory)) onEvent({ kind: 'unknown' });
        else onEvent({ kind: type === 'rename' ? 'moved' : 'written', path: join(directory, name) });
      });
      watcher.on('error', () => {
        drop(directory);
        onEvent({ kind: 'unknown' });
      });
      watchers.set(directory, watcher);
      return true;
    } catch {
      // No such directory, or no watches left.
      return false;
    }
  }

  return {
    set(directories) {
      const wanted = new Set(directories);
      for (const directory of [...watchers.keys()]) if (!wanted.has(directory)) drop(directory);
      const missing = [...wanted].filter((directory) => !watchers.has(directory));
      return missing.filter(add).length > 0;
    },
    close() {
      for (const directory of [...watchers.keys()]) drop(directory);
    },
  };
}
