import type { Readable } from 'node:stream';

/**
 * Calls back with every line of text that arrives, the last one too when nothing ends it. Of a line longer than `longest`
 * (UTF-16 code units) it is the start, and no part of its rest is taken for a line. A stream that fails has ended.
 */
export function readLines(stream: Readable, longest: number, onLine: (line: string) => void): void {
  let rest = '';
  let started = false;

  function take(part: string): void {
    started = true;
    if (rest.length < longest) rest += part.slice(0, longest - rest.length);
  }

  function finish(): void {
    const line = rest;
    rest = '';
    started = false;
    onLine(line);
  }

  stream.setEncoding('utf8');
  stream.on('data', (chunk: string) => {
    let from = 0;
    for (let end = chunk.indexOf('\n'); end !== -1; end = chunk.indexOf('\n', from)) {
      take(chunk.slice(from, end));
      finish();
      from = end + 1;
    }
    if (from < chunk.length) take(chunk.slice(from));
  });
  stream.once('end', () => {
    if (started) finish();
  });
  stream.on('error', () => undefined);
}
