import { readdirSync, readFileSync } from 'node:fs';

/** Processes that have a text in their arguments or environment: by pid, as `ps` would show them. */
export function processesWith(text: string): readonly { readonly pid: number; readonly command: string }[] {
  const found: { pid: number; command: string }[] = [];
  for (const name of readdirSync('/proc')) {
    if (!/^\d+$/.test(name) || Number(name) === process.pid) continue;
    const command = read(`/proc/${name}/cmdline`).replaceAll('\0', ' ').trim();
    if (command.includes(text) || read(`/proc/${name}/environ`).includes(text))
      found.push({ pid: Number(name), command });
  }
  return found;
}

function read(file: string): string {
  try {
    return readFileSync(file, 'utf8');
  } catch {
    return '';
  }
}
