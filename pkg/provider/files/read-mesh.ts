import { createAssembler } from './assemble.ts';
import { fixOf, readText } from './bounded-file.ts';
import { type FileTree, listFiles } from './file-tree.ts';
import type { MeshRead, ReadOptions } from './mesh-read.ts';
import type { SourceFile } from './placed-objects.ts';
import { parseDocuments } from './yaml-documents.ts';

/** Reads everything once. Never throws for what it reads: what can't be read is a problem of the result. */
export async function readMesh(options: ReadOptions): Promise<MeshRead> {
  const files = await readTree(await listFiles(options.inputs));
  const podFiles = options.podDirs && (await readTree({ ...(await listFiles(options.podDirs)), faults: [] }));
  return createAssembler(options).assemble(files, podFiles);
}

async function readTree(tree: FileTree): Promise<SourceFile[]> {
  const files: SourceFile[] = [];
  const batch = 32;
  for (let i = 0; i < tree.files.length; i += batch) {
    files.push(...(await Promise.all(tree.files.slice(i, i + batch).map((path) => readSource(path)))));
  }
  return [...files, ...faultsOf(tree)];
}

/** Reads and parses one file; documents that `previous` has with the same text are taken from it. */
export async function readSource(path: string, previous?: SourceFile): Promise<SourceFile> {
  const name = path === '-' ? 'stdin' : path;
  const content = await readText(path);
  if (content.kind === 'fault') {
    const { reason, message, fix } = content;
    return { name, text: '', documents: [], fault: { reason, message, fix } };
  }
  const { text } = content;
  if (previous && previous.text === text && !previous.fault) {
    return previous.name === name ? previous : { ...previous, name };
  }
  return { name, text, documents: parseDocuments(text, previous?.documents) };
}

/** What could not be entered, as files that say so. */
export function faultsOf({ faults }: Pick<FileTree, 'faults'>): SourceFile[] {
  return faults.map(({ path, code }) => {
    const message = code === 'ENOENT' ? 'there is no such file or directory' : `it can't be read (${code})`;
    const fix = fixOf(code);
    return { name: path, text: '', documents: [], fault: { reason: 'FileUnreadable', message, fix } };
  });
}
