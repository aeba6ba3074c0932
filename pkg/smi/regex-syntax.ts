import { CharSet, charSetOf } from './regex-chars.ts';
import { inAscii, Refusal, refuse, refuseCharacter, refuseConstruct, type SyntaxFault } from './regex-refusal.ts';

/**
 * Reads a pattern by the grammar that Tulle takes: what every Envoy that it works with and re2js read in the same way.
 * Returns what is wrong, or the most instructions that an Envoy can compile it to.
 *
 * Envoy 1.40 reads patterns as Latin-1 and 1.38 as UTF-8, each with the Unicode tables of its own day, and either refuses a
 * whole route configuration for one pattern. So a pattern is ASCII, and the grammar is a list of what is known to be
 * accepted: what isn't on it is refused (DECISIONS S12, test/conformance/envoy-patterns.test.ts).
 */
export function measureRegex(pattern: string): number | SyntaxFault {
  try {
    return new Reading(pattern).whole();
  } catch (error) {
    if (error instanceof Refusal) return error.fault;
    throw error;
  }
}

/** RE2 nests 1,000 deep; nobody does. */
const maxDepth = 100;
/** RE2's own, of one repetition and of those inside of each other multiplied. */
const maxRepeat = 1_000;
/** What goes around every pattern: the start, the match and the failure. */
const frame = 8;

/** Instructions, and how often the innermost part is repeated. */
interface Part {
  readonly size: number;
  readonly repeats: number;
  /** Present: nothing that could be repeated. */
  readonly fixed?: true;
}

const constructs: readonly (readonly [string, string])[] = [
  ['(?=', 'look-ahead "(?="'],
  ['(?!', 'negative look-ahead "(?!"'],
  ['(?<=', 'look-behind "(?<="'],
  ['(?<!', 'negative look-behind "(?<!"'],
  ['(?>', 'an atomic group "(?>"'],
  ['(?P=', 'a back-reference "(?P="'],
  ['(?(', 'a conditional "(?("'],
  ['(?#', 'a comment "(?#"'],
];

const groupStart = /\((?:\?(?:P?<(?<name>[A-Za-z0-9_]+)>|(?<flags>[imsU]*(?:-[imsU]+)?)(?<end>[:)])))?/y;
const repetition = /(?:[*+?]|\{(?<least>[0-9]+)(?<upTo>,(?<most>[0-9]*))?\})(?<lazy>\??)/y;
const hexadecimal = /\\x(?:\{(?<long>[0-9A-Fa-f]{1,8})\}|(?<short>[0-9A-Fa-f]{2}))/y;
const posixClass = /\[:(?<not>\^?)(?<name>[a-z]+):\]/y;

const simpleEscapes: Readonly<Record<string, string>> = {
  a: '\x07',
  f: '\f',
  n: '\n',
  r: '\r',
  t: '\t',
  v: '\v',
};

class Reading {
  readonly #pattern: string;
  /** Does any part of it leave case aside? All of it is measured as if it did. */
  readonly #folds: boolean;
  readonly #literal: number;
  readonly #names = new Set<string>();
  #at = 0;

  constructor(pattern: string) {
    this.#pattern = pattern;
    this.#folds = /\(\?[imsU]*i/.test(pattern);
    this.#literal = charSetOf('k').instructions(this.#folds);
  }

  whole(): number {
    const strange = /[^\x20-\x7e]/u.exec(this.#pattern)?.[0];
    if (strange !== undefined) refuseCharacter(strange);
    const { size } = this.#alternatives(0);
    if (this.#at < this.#pattern.length) refuse(`nothing is open that the ")" ${this.#place()} could close`);
    return size + frame;
  }

  #place(at = this.#at): string {
    return `at character ${at + 1}`;
  }

  #next(): string | undefined {
    return this.#pattern[this.#at];
  }

  #take(expression: RegExp): RegExpExecArray | undefined {
    expression.lastIndex = this.#at;
    const found = expression.exec(this.#pattern) ?? undefined;
    if (found) this.#at += found[0].length;
    return found;
  }

  #alternatives(depth: number): Part {
    if (depth > maxDepth) refuse(`its groups are nested more than ${maxDepth} deep`);
    let size = 1;
    let repeats = 1;
    for (let char = this.#next(); char !== undefined && char !== ')'; char = this.#next()) {
      if (char === '|') {
        this.#at += 1;
        size += 2;
        continue;
      }
      const part = this.#repeated(this.#part(char, depth));
      size += part.size;
      repeats = Math.max(repeats, part.repeats);
    }
    return { size, repeats };
  }

  #repeated(part: Part): Part {
    const start = this.#at;
    const found = this.#take(repetition);
    if (!found) return part;
    if (part.fixed) this.#refuseRepetition(start);
    const { least, upTo, most } = found.groups ?? {};
    const again = this.#pattern.slice(start, this.#at);
    const next = this.#at;
    if (this.#take(repetition)) {
      if (this.#pattern[next] === '+') refuseConstruct(`the possessive quantifier "${again}+" is not part of RE2`);
      refuse(
        `the repetitions "${this.#pattern.slice(start, this.#at)}" follow one another`,
        'put the first into (?:…)',
      );
    }
    if (least === undefined) return { size: part.size + 2, repeats: part.repeats };
    const from = toCount(least);
    const to = upTo === undefined ? from : most === '' || most === undefined ? undefined : toCount(most);
    if (to !== undefined && to < from) refuse(`the repetition "${again}" has its bounds the wrong way round`);
    const repeats = part.repeats * Math.max(1, to ?? from);
    if (repeats > maxRepeat) refuse(`repetitions within each other come to ${repeats}; ${maxRepeat} is the most`);
    const size = to === undefined ? Math.max(1, from) * part.size + 2 : to * part.size + (to - from) * 2 + 1;
    return { size, repeats };
  }

  #refuseRepetition(at: number): never {
    const char = this.#pattern[at];
    refuse(`the "${char}" ${this.#place(at)} has nothing to repeat`, `to mean the character, write \\${char}`);
  }

  #part(char: string, depth: number): Part {
    const start = this.#at;
    switch (char) {
      case '(':
        return this.#group(depth);
      case '[':
        return { size: this.#costOf(this.#charClass()), repeats: 1 };
      case '\\':
        return this.#escape();
      case '*':
      case '+':
      case '?':
        return this.#refuseRepetition(this.#at);
      case '{':
        if (this.#take(repetition)) this.#refuseRepetition(start);
        break;
      case '^':
      case '$':
        this.#at += 1;
        return { size: 1, repeats: 1, fixed: true };
      case '.':
        this.#at += 1;
        return { size: this.#costOf(charSetOf('\n').negated()), repeats: 1 };
      default:
    }
    this.#at += 1;
    return { size: this.#literal, repeats: 1 };
  }

  #group(depth: number): Part {
    const start = this.#at;
    const known = constructs.find(([text]) => this.#pattern.startsWith(text, start));
    if (known) refuseConstruct(`${known[1]} is not part of RE2`);
    const found = this.#take(groupStart);
    const { name, flags, end } = found?.groups ?? {};
    if (found?.[0] === '(' && this.#next() === '?') {
      refuse(`"${this.#pattern.slice(start, start + 4)}" ${this.#place(start)} begins no group of RE2`);
    }
    if (name !== undefined && this.#names.has(name)) refuse(`two groups have the name "${name}"`);
    if (name !== undefined) this.#names.add(name);
    if (end === ')') {
      if (flags === '') refuse(`the group "(?)" ${this.#place(start)} says nothing`, 'remove it');
      return { size: 0, repeats: 1, fixed: true };
    }
    const inside = this.#alternatives(depth + 1);
    if (this.#next() !== ')') refuse(`the group that opens ${this.#place(start)} is not closed`, 'add its ")"');
    this.#at += 1;
    return { size: inside.size + 2, repeats: inside.repeats };
  }

  #escape(): Part {
    const next = this.#pattern[this.#at + 1];
    if (next === 'Q') return this.#quote();
    if (next !== undefined && 'bBAz'.includes(next)) {
      this.#at += 2;
      return { size: 1, repeats: 1, fixed: true };
    }
    if (next === 'k') refuseConstruct('the back-reference "\\k" is not part of RE2');
    if (next !== undefined && /[1-9]/.test(next)) refuseConstruct(`the back-reference "\\${next}" is not part of RE2`);
    return { size: this.#costOf(this.#escaped()), repeats: 1 };
  }

  /** Without its end, a quote would take in what is put around the pattern. */
  #quote(): Part {
    const start = this.#at;
    const end = this.#pattern.indexOf('\\E', start + 2);
    if (end < 0) refuse(`the quote "\\Q" ${this.#place(start)} is not closed`, 'add its "\\E"');
    this.#at = end + 2;
    const length = end - start - 2;
    const size = length * this.#literal;
    return length === 0 ? { size, repeats: 1, fixed: true } : { size, repeats: 1 };
  }

  #charClass(): CharSet {
    const start = this.#at;
    this.#at += 1;
    const negated = this.#next() === '^';
    if (negated) this.#at += 1;
    const set = new CharSet();
    for (let first = true; first || this.#next() !== ']'; first = false) {
      if (this.#next() === undefined) refuse(`the class that opens ${this.#place(start)} is not closed`, 'add its "]"');
      this.#classItem(set);
    }
    this.#at += 1;
    return negated ? set.negated() : set;
  }

  #classItem(set: CharSet): void {
    if (this.#pattern.startsWith('[:', this.#at)) {
      const at = this.#at;
      const { name = '', not } = this.#take(posixClass)?.groups ?? {};
      const found = CharSet.named(name);
      if (!found) refuse(`"[:" ${this.#place(at)} begins no class of RE2`, 'write one, as [:alpha:], or \\[ and :');
      set.add(not === '^' ? found.negated() : found);
      return;
    }
    const from = this.#classChar();
    const isRange = this.#next() === '-' && (this.#pattern[this.#at + 1] ?? ']') !== ']';
    if (from.size !== 1 || !isRange) {
      set.add(from);
      return;
    }
    const at = this.#at;
    this.#at += 1;
    const to = this.#classChar();
    if (to.size !== 1) refuse(`the range ${this.#place(at)} does not end with a character`);
    if (to.first < from.first) refuse(`the range ${this.#place(at)} ends before it begins`);
    set.addRange(from.first, to.first);
  }

  #classChar(): CharSet {
    const char = this.#next();
    if (char === '\\') return this.#escaped();
    if (char === undefined) refuse('a class is not closed', 'add its "]"');
    this.#at += 1;
    return charSetOf(char);
  }

  /** What stands for one character, in a class and out of it. */
  #escaped(): CharSet {
    const next = this.#pattern[this.#at + 1];
    if (next === undefined) refuse('the pattern ends with a single "\\"', 'to mean the character, write \\\\');
    if (next === 'x') return this.#byNumber();
    if ('pP'.includes(next)) {
      refuseConstruct(
        `the class "\\${next}" is of Unicode, which Envoys read in different ways`,
        `write [A-Za-z]; ${inAscii}`,
      );
    }
    if (next === 'C') refuseConstruct('"\\C" is not taken', 'write (?s:.), which is any byte');
    const set = simpleEscapes[next] === undefined ? CharSet.perl(next) : charSetOf(simpleEscapes[next]);
    if (!set && /[0-9]/.test(next)) refuse(`"\\${next}" is not taken`, 'for a character by its number, write \\x41');
    if (!set && /[A-Za-z]/.test(next)) refuse(`"\\${next}" ${this.#place()} has no meaning there in RE2`);
    this.#at += 2;
    return set ?? charSetOf(next);
  }

  #byNumber(): CharSet {
    const start = this.#at;
    const { long, short } = this.#take(hexadecimal)?.groups ?? {};
    const digits = long ?? short;
    if (digits === undefined) refuse(`the "\\x" ${this.#place()} has no number`, 'write two digits, as \\x2f');
    const code = Number.parseInt(digits, 16);
    const text = this.#pattern.slice(start, this.#at);
    if (code > 0x7f) refuseConstruct(`"${text}" is not ASCII, and Envoys read it in different ways`, inAscii);
    return charSetOf(String.fromCharCode(code));
  }

  #costOf(set: CharSet): number {
    return set.instructions(this.#folds);
  }
}

function toCount(digits: string): number {
  if (/^0[0-9]/.test(digits)) refuse(`the repetition {${digits.slice(0, 10)}…} begins with a zero`, 'remove it');
  if (digits.length > 4 || Number(digits) > maxRepeat) {
    refuse(`something is repeated ${digits.slice(0, 10)} times; ${maxRepeat} is the most`);
  }
  return Number(digits);
}
