import { existsSync, readFileSync } from 'node:fs';

/** Written by hand, and kept when the report is written anew: by title of a section, where the time goes. */
export function readFindings(file: string): ReadonlyMap<string, string> {
  return existsSync(file) ? decodeFindings(readFileSync(file, 'utf8')) : new Map();
}

/** Markdown with a heading of the second level for each section; what stands before the first is for its readers. */
export function decodeFindings(text: string): ReadonlyMap<string, string> {
  const [, ...parts] = `\n${text}`.split(/\n## +/);
  return new Map(
    parts.flatMap((part): [string, string][] => {
      const [title = '', ...lines] = part.split('\n');
      const body = lines.join('\n').trim();
      return body === '' ? [] : [[title.trim(), body]];
    }),
  );
}
