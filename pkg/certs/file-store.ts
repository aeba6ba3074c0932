import { chmod, mkdir, readdir, readFile, rename, rm, writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import type { CertStore } from './store.ts';

/** Keeps things in a directory that only its owner may enter, in files that only their owner may read. */
export async function openFileStore(directory: string): Promise<CertStore> {
  await mkdir(directory, { recursive: true, mode: 0o700 });
  // It may have been there before, with other permissions.
  await chmod(directory, 0o700);
  let count = 0;

  function pathOf(name: string): string {
    if (!/^[A-Za-z0-9][A-Za-z0-9.-]*$/.test(name)) throw new Error(`not a name for a file: ${JSON.stringify(name)}`);
    return join(directory, name);
  }

  return {
    async read(name) {
      try {
        return await readFile(pathOf(name));
      } catch (error) {
        if ((error as NodeJS.ErrnoException).code === 'ENOENT') return undefined;
        throw error;
      }
    },
    async write(name, bytes) {
      const path = pathOf(name);
      const temporary = `${path}.${++count}.new`;
      await writeFile(temporary, bytes, { mode: 0o600, flush: true });
      await rename(temporary, path);
    },
    async remove(name) {
      await rm(pathOf(name), { force: true });
    },
    async list(prefix) {
      const names = await readdir(directory);
      return names.filter((name) => name.startsWith(prefix) && !name.endsWith('.new')).sort();
    },
  };
}

/** Keeps things in memory: gone with the process. */
export function createMemoryStore(): CertStore {
  const entries = new Map<string, Buffer>();
  return {
    read: (name) => Promise.resolve(entries.get(name)),
    write: (name, bytes) => Promise.resolve(void entries.set(name, Buffer.from(bytes))),
    remove: (name) => Promise.resolve(void entries.delete(name)),
    list: (prefix) => Promise.resolve([...entries.keys()].filter((name) => name.startsWith(prefix)).sort()),
  };
}
