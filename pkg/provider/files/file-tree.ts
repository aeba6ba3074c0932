import type { Dirent, Stats } from 'node:fs';
import { readdir, realpath, stat } from 'node:fs/promises';
import { join, normalize } from 'node:path';

/** The most files that are taken from one directory given; more is surely a mistake. */
const maxFiles = 20_000;
const maxDepth = 32;

export interface FileTree {
  /** Paths as the user would write them, each file once: in the order of the inputs, sorted below a directory. */
  readonly files: readonly string[];
  /** Directories whose entries matter: what to watch. */
  readonly directories: readonly string[];
  /** Paths that could not be entered, with the system's code. */
  readonly faults: readonly { readonly path: string; readonly code: string }[];
}

/** Lists the manifests below the inputs. Follows links, once; passes over names with a leading dot. */
export async function listFiles(inputs: readonly string[]): Promise<FileTree> {
  const files: string[] = [];
  const directories: string[] = [];
  const faults: { path: string; code: string }[] = [];
  const seen = new Set<string>();

  function add(path: string, real: string): void {
    if (seen.has(real) || files.length >= maxFiles) return;
    seen.add(real);
    files.push(path);
  }

  async function enter(path: string, depth: number, given: boolean): Promise<void> {
    let info: Stats;
    let real: string;
    try {
      [info, real] = await Promise.all([stat(path), realpath(path)]);
    } catch (error) {
      // What vanished since its directory was listed, and a link to nowhere, are no fault; what was asked for is.
      if (given || codeOf(error) !== 'ENOENT') faults.push({ path, code: codeOf(error) });
      return;
    }
    if (!info.isDirectory()) {
      if (given || (info.isFile() && isManifest(path))) add(path, real);
      return;
    }
    if (depth > maxDepth || seen.has(real)) return;
    seen.add(real);
    directories.push(path);
    // Both are plain paths: joining them anew for each of thousands would take longer than reading the directory.
    const [above, realAbove] = [join(path, 'x').slice(0, -1), join(real, 'x').slice(0, -1)];
    for (const entry of await entriesOf(path)) {
      if (entry.isFile()) {
        // Not asked anything further: there may be thousands.
        if (isManifest(entry.name)) add(above + entry.name, realAbove + entry.name);
      } else if (entry.isDirectory() || entry.isSymbolicLink()) {
        await enter(above + entry.name, depth + 1, false);
      }
    }
  }

  async function entriesOf(path: string): Promise<Dirent[]> {
    try {
      const entries = await readdir(path, { withFileTypes: true });
      const visible = entries.filter(({ name }) => !name.startsWith('.') && name !== 'node_modules');
      return visible.sort((a, b) => (a.name < b.name ? -1 : 1));
    } catch (error) {
      faults.push({ path, code: codeOf(error) });
      return [];
    }
  }

  for (const input of inputs.map(toPlainPath)) {
    if (input === '-') add(input, input);
    else await enter(input, 0, true);
  }
  return { files, directories, faults };
}

/** As the paths of its entries begin: `./demo/` is `demo`. */
export function toPlainPath(path: string): string {
  return path === '-' ? path : normalize(path).replace(/(?<=.)[/\\]+$/, '');
}

export function isManifest(name: string): boolean {
  return /\.(ya?ml|json)$/.test(name) && !/(^|\/)\.[^/]*$/.test(name);
}

function codeOf(error: unknown): string {
  return (error as NodeJS.ErrnoException).code ?? 'unknown error';
}
