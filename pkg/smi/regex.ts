import { RE2JS } from 're2js';
import type { ProblemReason } from '../problem/reasons.ts';

/** The largest compiled pattern that is taken, in instructions as re2js counts them (DECISIONS S12). */
const maxProgramSize = 5000;
/** Longer ones aren't even compiled. */
const maxLength = 16_384;

export interface RegexFault {
  readonly reason: Extract<ProblemReason, 'RegexInvalid' | 'RegexUnsupported' | 'RegexTooLarge'>;
  readonly message: string;
  readonly fix: string;
}

/** What is wrong with an RE2 pattern, or undefined. Both sidecars compile what passes here (DECISIONS S12). */
export function checkRegex(pattern: string): RegexFault | undefined {
  if (pattern.length > maxLength) {
    const message = `the pattern has ${pattern.length} characters; ${maxLength} is the most that is taken`;
    return { reason: 'RegexTooLarge', message, fix: 'split it into several matches' };
  }
  const construct = unsupportedConstruct(pattern);
  if (construct !== undefined) {
    const fix = 'write it without, in RE2: several matches are alternatives, several headers must all hold';
    return { reason: 'RegexUnsupported', message: `${construct} is not part of RE2`, fix };
  }
  if (!isWellFormed(pattern)) {
    return { reason: 'RegexInvalid', message: 'the pattern is not valid Unicode', fix: 'remove the lone surrogate' };
  }
  const size = programSizeOf(pattern);
  if (typeof size === 'string') {
    return { reason: 'RegexInvalid', message: size, fix: 'correct it: the dialect is RE2' };
  }
  if (size > maxProgramSize) {
    const message = `the pattern compiles to ${size} instructions; ${maxProgramSize} is the most that is taken`;
    return { reason: 'RegexTooLarge', message, fix: 'shorten its repetitions, or split it into several matches' };
  }
  return undefined;
}

/** Compiling is a fifth of reading a mesh, in which many routes have the same patterns. Bounded: patterns come from outside. */
const sizes = new Map<string, number | string>();
const maxSizes = 1_000;
const maxKeptLength = 500;

function programSizeOf(pattern: string): number | string {
  const known = sizes.get(pattern);
  if (known !== undefined) return known;
  const size = compiledSizeOf(pattern);
  if (pattern.length > maxKeptLength) return size;
  if (sizes.size >= maxSizes) sizes.clear();
  sizes.set(pattern, size);
  return size;
}

function compiledSizeOf(pattern: string): number | string {
  try {
    return RE2JS.compile(pattern).programSize();
  } catch (error) {
    return error instanceof Error ? error.message : String(error);
  }
}

const groups: readonly (readonly [RegExp, string])[] = [
  [/^\(\?=/, 'look-ahead "(?="'],
  [/^\(\?!/, 'negative look-ahead "(?!"'],
  [/^\(\?<=/, 'look-behind "(?<="'],
  [/^\(\?<!/, 'negative look-behind "(?<!"'],
  [/^\(\?>/, 'an atomic group "(?>"'],
  [/^\(\?P=/, 'a back-reference "(?P="'],
  [/^\(\?\(/, 'a conditional "(?("'],
  [/^\(\?#/, 'a comment "(?#"'],
];

/** Names what Perl has and RE2 has not, outside of escapes, quotes and classes. */
function unsupportedConstruct(pattern: string): string | undefined {
  let inClass = false;
  for (let i = 0; i < pattern.length; i++) {
    const char = pattern[i];
    if (char === '\\') {
      const next = pattern[i + 1] ?? '';
      if (next === 'Q') {
        const end = pattern.indexOf('\\E', i + 2);
        if (end < 0) return undefined;
        i = end;
      } else if (!inClass && /[1-9]/.test(next)) {
        return `the back-reference "\\${next}"`;
      } else if (!inClass && next === 'k') {
        return 'the back-reference "\\k"';
      }
      i++;
    } else if (inClass) {
      // A "]" that comes first is an ordinary character; `[[:alpha:]]` has its own brackets.
      if (char === '[' && pattern[i + 1] === ':') i = Math.max(i, pattern.indexOf(':]', i + 2) + 1);
      else if (char === ']') inClass = false;
    } else if (char === '[') {
      inClass = true;
      if (pattern[i + 1] === '^') i++;
      if (pattern[i + 1] === ']') i++;
    } else if (char === '(' && pattern[i + 1] === '?') {
      const head = pattern.slice(i, i + 4);
      const group = groups.find(([start]) => start.test(head));
      if (group) return group[1];
    } else if (char === '+' && i > 0 && /[+*?}]/.test(pattern[i - 1] ?? '') && pattern[i - 2] !== '\\') {
      return `the possessive quantifier "${pattern[i - 1]}+"`;
    }
  }
  return undefined;
}

/** A lone surrogate has no UTF-8 form, so Envoy could not be told. */
function isWellFormed(text: string): boolean {
  return !/\p{Surrogate}/u.test(text);
}
