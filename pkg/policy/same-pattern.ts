import { RE2JS } from 're2js';

/** One step of what a pattern is compiled to. Not part of the engine's documented interface: whatever is missing proves nothing. */
interface Instruction {
  readonly op: number;
  readonly out: number;
  readonly arg: number;
  readonly runes: ArrayLike<number>;
}

interface Program {
  readonly start: number;
  readonly inst: readonly Instruction[];
}

const alternative = [1, 2];
const capture = 3;
const emptyWidth = 4;
const nothing = 7;
const ends = [5, 6];

const maxSteps = 2_000;
const maxLength = 4_096;
const maxCached = 4_096;
const forms = new Map<string, string | undefined>();

/**
 * Are two patterns one and the same, written in different words? True only when both compile to the same steps, groups
 * apart: `/\x61` and `/[a]`, `[0-9]` and `\d`. That they differ is never said.
 */
export function isSamePattern(a: string, b: string): boolean {
  if (a === b) return true;
  const form = formOf(a);
  return form !== undefined && form === formOf(b);
}

function formOf(pattern: string): string | undefined {
  if (forms.has(pattern)) return forms.get(pattern);
  const form = toForm(pattern);
  if (forms.size >= maxCached) forms.clear();
  forms.set(pattern, form);
  return form;
}

function toForm(pattern: string): string | undefined {
  if (pattern.length > maxLength) return undefined;
  try {
    const program = (RE2JS.compile(pattern) as unknown as { re2Input?: { prog?: Program } }).re2Input?.prog;
    return program && walk(program);
  } catch {
    return undefined;
  }
}

/** The steps in the order in which they are come to, each named by its place in it; groups are passed over. */
function walk({ inst, start }: Program): string | undefined {
  const places = new Map<number, number>();
  const order: Instruction[] = [];
  const enter = (at: number): number | undefined => {
    let step = inst[at];
    let index = at;
    for (let k = 0; step !== undefined && (step.op === capture || step.op === nothing); k++) {
      if (k > inst.length) return undefined;
      index = step.out;
      step = inst[index];
    }
    if (step === undefined) return undefined;
    const known = places.get(index);
    if (known !== undefined) return known;
    places.set(index, order.length);
    order.push(step);
    return order.length - 1;
  };
  if (enter(start) === undefined) return undefined;
  const lines: string[] = [];
  for (let i = 0; i < order.length; i++) {
    if (i > maxSteps) return undefined;
    const { op, out, arg, runes } = order[i] as Instruction;
    const next = ends.includes(op) ? [] : [enter(out), ...(alternative.includes(op) ? [enter(arg)] : [])];
    if (next.includes(undefined)) return undefined;
    // Of a step that takes a character the argument says whether case counts, of one that takes none, what must be there.
    const detail =
      alternative.includes(op) || ends.includes(op) ? '' : op === emptyWidth ? `${arg}` : `${arg}/${toList(runes)}`;
    lines.push(`${op} ${detail} ${next.join(',')}`);
  }
  return lines.join('\n');
}

function toList(runes: ArrayLike<number>): string {
  return Array.from(runes).join('.');
}
