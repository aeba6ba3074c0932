import { accessSync, constants, statSync } from 'node:fs';
import { delimiter, isAbsolute, join, resolve } from 'node:path';
import type { Programs } from './plan-program.ts';

/** The programs that can be started here. `node` is always there: the one that runs us. */
export function localPrograms(path: string, node: string, images: ReadonlyMap<string, string>): Programs {
  const folders = path.split(delimiter).filter((folder) => folder !== '');
  return {
    images,
    findProgram(name, folder) {
      if (name.includes('/')) return executable(isAbsolute(name) ? name : resolve(folder, name));
      for (const candidate of folders) {
        const found = executable(join(candidate, name));
        if (found !== undefined) return found;
      }
      return name === 'node' ? node : undefined;
    },
    workingFolder(workingDir, folder) {
      const wanted = workingDir === undefined ? folder : resolve(folder, workingDir);
      return isFolder(wanted) ? wanted : folder;
    },
  };
}

function executable(file: string): string | undefined {
  try {
    accessSync(file, constants.X_OK);
    return statSync(file).isFile() ? file : undefined;
  } catch {
    return undefined;
  }
}

function isFolder(path: string): boolean {
  try {
    return statSync(path).isDirectory();
  } catch {
    return false;
  }
}
