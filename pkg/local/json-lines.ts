import type { Duplex } from 'node:stream';

const longestLine = 4 * 1024 * 1024;

/** Calls back with every line of JSON that arrives; a line that is none, or one without end, ends the stream. */
export function readJsonLines(stream: Duplex, onMessage: (message: unknown) => void): void {
  let rest = '';
  stream.setEncoding('utf8');
  stream.on('data', (chunk: string) => {
    const lines = (rest + chunk).split('\n');
    rest = lines.pop() ?? '';
    if (rest.length > longestLine) {
      stream.destroy(new Error('a message is too long'));
      return;
    }
    for (const line of lines) {
      if (line === '') continue;
      let message: unknown;
      try {
        message = JSON.parse(line);
      } catch {
        stream.destroy(new Error('a message is not JSON'));
        return;
      }
      onMessage(message);
    }
  });
}

/** Writes one message as one line; false when the reader is behind (`drain` follows). */
export function writeJsonLine(stream: Duplex, message: unknown): boolean {
  return stream.writable ? stream.write(`${JSON.stringify(message)}\n`) : true;
}
