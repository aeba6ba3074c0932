import type { Locate } from '../catalog/snapshot.ts';
import type { Position, Problem } from '../problem/problem.ts';
import { problemReasons } from '../problem/reasons.ts';

export interface Suppressed {
  readonly problem: Problem;
  /** Why somebody wants it so. */
  readonly justification: string;
}

export interface Judged {
  /** What is left, and what is wrong with the suppressions themselves. */
  readonly problems: readonly Problem[];
  readonly suppressed: readonly Suppressed[];
}

interface Wish {
  readonly code: string;
  readonly reason: string;
  readonly at: Position;
  used: boolean;
}

const comment = /#\s*tulle:ignore\b[ \t]*(.*)$/;
const annotation = /tulle\.dev\/ignore["']?\s*:\s*(.*)$/;

/**
 * Takes out what the user wants so: `# tulle:ignore CODE reason` on the line of the offending value or in the lines right
 * above it, or the annotation `tulle.dev/ignore: "CODE reason"` on the object, several divided by `;`. Without a reason
 * it is not obeyed.
 */
export function suppress(problems: readonly Problem[], files: ReadonlyMap<string, string>, locate: Locate): Judged {
  const linesOf = createLines(files);
  const wishes = new Map<string, Wish>();
  const faults: Problem[] = [];
  const left: Problem[] = [];
  const suppressed: Suppressed[] = [];

  for (const [file, text] of files) {
    if (!text.includes('tulle:ignore') && !text.includes('tulle.dev/ignore')) continue;
    for (const [i, line] of linesOf(file).entries()) {
      const found = comment.exec(line) ?? annotation.exec(line);
      if (found === null) continue;
      for (const wish of readWishes(found[1] ?? '', { file, line: i + 1, column: found.index + 1 })) {
        const fault = faultOf(wish);
        if (fault) faults.push(fault);
        else wishes.set(keyOf(wish.at, wish.code), wish);
      }
    }
  }

  for (const problem of problems) {
    const wish = wishFor(problem);
    if (wish === undefined) left.push(problem);
    else {
      wish.used = true;
      suppressed.push({ problem, justification: wish.reason });
    }
  }
  for (const { used, code, at } of wishes.values()) {
    if (!used) faults.push(toProblem('IgnoreUnused', `there is no ${code} here to be ignored`, 'remove it', at));
  }
  return { problems: [...left, ...faults], suppressed };

  function wishFor({ reason, position, resource }: Problem): Wish | undefined {
    if (position === undefined || wishes.size === 0) return undefined;
    const { file, line } = position;
    const lines = linesOf(file);
    const own = wishes.get(keyOf(position, reason));
    if (own) return own;
    for (let above = line - 1; above > 0 && /^\s*(#|$)/.test(lines[above - 1] ?? ''); above--) {
      const found = wishes.get(keyOf({ file, line: above }, reason));
      if (found) return found;
    }
    const onObject = locate(resource, '/metadata/annotations/tulle.dev~1ignore');
    return onObject && wishes.get(keyOf(onObject, reason));
  }
}

function keyOf({ file, line }: Pick<Position, 'file' | 'line'>, code: string): string {
  return `${file}\n${line}\n${code}`;
}

function readWishes(text: string, at: Position): Wish[] {
  return text
    .trim()
    .replace(/^(["'])(.*)\1.*$/, '$2')
    .replace(/[}\]]\s*$/, '')
    .split(';')
    .map((part) => {
      const [, code = '', reason = ''] = /^\s*(\S*)\s*(.*?)\s*$/.exec(part) ?? [];
      return { code, reason: reason.replace(/^[-–:]\s*/, '').replace(/["']$/, ''), at, used: false };
    });
}

function faultOf({ code, reason, at }: Wish): Problem | undefined {
  const codes: readonly string[] = problemReasons;
  if (!codes.includes(code)) {
    return toProblem(
      'IgnoreInvalid',
      `"${code}" is no code of a problem`,
      'write the code that stands in brackets at the end of the problem, then why',
      at,
    );
  }
  if (reason !== '') return undefined;
  return toProblem(
    'IgnoreInvalid',
    `${code} is to be ignored, and nobody says why`,
    `write the reason behind it: ${code} because …`,
    at,
  );
}

function toProblem(
  reason: 'IgnoreInvalid' | 'IgnoreUnused',
  message: string,
  fix: string,
  position: Position,
): Problem {
  const resource = { kind: 'File', namespace: '', name: '' };
  return { resource, field: '', severity: 'warning', reason, message, fix, position };
}

function createLines(files: ReadonlyMap<string, string>): (file: string) => readonly string[] {
  const known = new Map<string, readonly string[]>();
  return (file) => {
    let lines = known.get(file);
    if (lines === undefined) {
      lines = (files.get(file) ?? '').split('\n');
      known.set(file, lines);
    }
    return lines;
  };
}
