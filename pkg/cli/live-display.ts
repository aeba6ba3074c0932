import type { CliContext } from './context.ts';
import type { MeshPicture } from './mesh-view.ts';
import { renderPicture } from './mesh-view.ts';
import { paintFor } from './table.ts';

export interface LiveDisplay {
  show(picture: MeshPicture): void;
  /** A line that stays, above the table. */
  readonly say: (line: string) => void;
}

const showCursor = '\u001b[?25h';
const hideCursor = '\u001b[?25l';

/** On a terminal a table that is redrawn in place; it never takes more lines than there are. */
export function createTerminalDisplay(context: CliContext): LiveDisplay & { end(): void } {
  const { stdout } = context;
  const paint = paintFor(context);
  let drawn = 0;
  let last: MeshPicture | undefined;

  function clear(): string {
    return drawn === 0 ? '' : `\u001b[${drawn}A\u001b[0J`;
  }

  function draw(before: string): void {
    const columns = Math.max(40, (stdout.columns ?? 100) - 1);
    const rows = Math.max(5, (stdout.rows ?? 50) - 2);
    const lines = last ? renderPicture(last, paint, columns).slice(0, rows) : [];
    stdout.write(`${hideCursor}${clear()}${before}${lines.map((line) => `${line}\n`).join('')}`);
    drawn = lines.length;
  }

  return {
    show(picture) {
      last = picture;
      draw('');
    },
    say: (line) => draw(`${line}\n`),
    end: () => void stdout.write(showCursor),
  };
}
