import { closeSync, fstatSync, openSync, renameSync, writeSync } from 'node:fs';

const largest = 1024 * 1024;

export interface LogFile {
  write(line: string): void;
  close(): void;
}

/** Keeps the last output of a process: at most two files of 1 MiB, `app.log` and before it `app.log.1`. */
export function openLogFile(file: string): LogFile {
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
