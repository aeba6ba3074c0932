import { createReadStream } from 'node:fs';

export const maxFileBytes = 8 * 1024 * 1024;

export type FileText =
  | { readonly kind: 'text'; readonly text: string }
  | { readonly kind: 'fault'; readonly reason: FileFault; readonly message: string; readonly fix: string };

export type FileFault = 'FileUnreadable' | 'FileTooLarge' | 'FileNotText';

/** Reads a file of bounded size as UTF-8; `-` is stdin. Anything that hinders is a value, not an exception. */
export async function readText(path: string): Promise<FileText> {
  try {
    const bytes = await readBounded(path);
    if (bytes === undefined) {
      const message = `the file has more than ${maxFileBytes / 1024 / 1024} MiB, so nothing of it is in force`;
      return { kind: 'fault', reason: 'FileTooLarge', message, fix: 'split it, or move it elsewhere' };
    }
    const text = decodeText(bytes);
    if (text !== undefined) return { kind: 'text', text };
    const message = 'the file is not UTF-8 text, so nothing of it is in force';
    return { kind: 'fault', reason: 'FileNotText', message, fix: 'save it as UTF-8, or move it elsewhere' };
  } catch (error) {
    const code = (error as NodeJS.ErrnoException).code ?? 'unknown error';
    const message =
      code === 'ENOENT'
        ? 'there is no such file or directory'
        : `the file can't be read (${code}), so nothing of it is in force`;
    const fix = fixOf(code);
    return { kind: 'fault', reason: 'FileUnreadable', message, fix };
  }
}

/** Undefined: there is more than may be. The size isn't asked for beforehand: a pipe has none, and files grow. */
async function readBounded(path: string): Promise<Buffer | undefined> {
  // Stdin by its number: as a socket it can't be opened by name.
  const stream = path === '-' ? createReadStream('', { fd: 0, autoClose: false }) : createReadStream(path);
  const chunks: Buffer[] = [];
  let total = 0;
  for await (const chunk of stream as AsyncIterable<Buffer>) {
    total += chunk.length;
    if (total > maxFileBytes) return undefined;
    chunks.push(chunk);
  }
  return Buffer.concat(chunks);
}

function decodeText(bytes: Buffer): string | undefined {
  if (bytes.includes(0)) return undefined;
  try {
    return new TextDecoder('utf-8', { fatal: true }).decode(bytes);
  } catch {
    return undefined;
  }
}

/** What to do about a path that can't be read, by the code of the error. */
export function fixOf(code: string): string {
  if (code === 'ENOENT') return 'correct the path';
  if (code === 'ELOOP') return 'let the symbolic link lead to a file';
  return 'give this user permission to read it';
}
