import { closeSync, fstatSync, openSync, renameSync, writeSync } from 'node:fs';

const largest = 1024 * 1024;

export interface LogFile {
  write(line: string): void;
  close(): void;
}

const shared = new Map<string, { readonly log: LogFile; users: number }>();

/** The same for all processes that write to one file, so that it is cut by one of them only. */
export function shareLogFile(file: string): LogFile {
  const entry = shared.get(file) ?? { log: openLogFile(file), users: 0 };
  shared.set(file, entry);
  entry.users += 1;
  return {
    write: (line) => entry.log.write(line),
    close() {
      entry.users -= 1;
      if (entry.users > 0) return;
      shared.delete(file);
      entry.log.close();
    },
  };
}

/** Keeps the last output of a process: at most two files of 1 MiB, `app.log` and before it `app.log.1`. */
function openLogFile(file: string): LogFile {
  let descriptor = openSync(file, 'a', 0o600);
  let size = fstatSync(descriptor).size;
  return {
    write(line) {
      try {
        size += writeSync(descriptor, `${line}\n`);
        if (size < largest) return;
        closeSync(descriptor);
        renameSync(file, `${file}.1`);
        descriptor = openSync(file, 'a', 0o600);
        size = 0;
      } catch {
        // A full disk must not end the app.
      }
    },
    close: () => closeSync(descriptor),
  };
}
