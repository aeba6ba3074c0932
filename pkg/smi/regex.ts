import { RE2JS } from 're2js';
import type { ProblemReason } from '../problem/reasons.ts';
import type { SyntaxFault } from './regex-refusal.ts';
import { measureRegex } from './regex-syntax.ts';

/** The largest compiled pattern that is taken, in instructions as re2js counts them (DECISIONS S12). */
const maxProgramSize = 5000;
/**
 * The same as Envoy counts them, at most: 10,000 is where the one that we start refuses the pattern and all that came with
 * it. The rest is for the open end that `pathMatch: start` adds.
 */
const maxInstructions = 9_900;
/** Longer ones aren't even read. */
const maxLength = 16_384;

export interface RegexFault {
  readonly reason: Extract<ProblemReason, 'RegexInvalid' | 'RegexUnsupported' | 'RegexTooLarge'>;
  readonly message: string;
  readonly fix: string;
}

/** Reading is a fifth of reading a mesh, in which many routes have the same patterns. Bounded: patterns come from outside. */
const known = new Map<string, RegexFault | undefined>();
const maxKnown = 1_000;
const maxKnownLength = 500;

/**
 * What is wrong with a pattern, or undefined. What passes is accepted by Envoy, also within a group and with more behind
 * it, and means the same in the sidecars and in what explains them (DECISIONS S12): Envoy would refuse a whole route
 * configuration, of which others live too, for one pattern that it doesn't take.
 */
export function checkRegex(pattern: string): RegexFault | undefined {
  if (known.has(pattern)) return known.get(pattern);
  const fault = findFault(pattern);
  if (pattern.length > maxKnownLength) return fault;
  if (known.size >= maxKnown) known.clear();
  known.set(pattern, fault);
  return fault;
}

function findFault(pattern: string): RegexFault | undefined {
  if (pattern === '') {
    const fix = 'leave it out for any value; for an empty one write ^$';
    return { reason: 'RegexInvalid', message: 'the pattern is empty', fix };
  }
  if (pattern.length > maxLength) {
    const message = `the pattern has ${pattern.length} characters; ${maxLength} is the most that is taken`;
    return { reason: 'RegexTooLarge', message, fix: 'split it into several matches' };
  }
  const measured = measureRegex(pattern);
  if (typeof measured !== 'number') return toFault(measured);
  if (measured > maxInstructions) return tooLarge(measured, maxInstructions);
  const size = compiledSizeOf(pattern);
  if (typeof size === 'string') return toFault({ kind: 'invalid', message: size });
  return size > maxProgramSize ? tooLarge(size, maxProgramSize) : undefined;
}

function toFault({ kind, message, fix }: SyntaxFault): RegexFault {
  if (kind === 'invalid') return { reason: 'RegexInvalid', message, fix: fix ?? 'correct it: the dialect is RE2' };
  const without = 'write it without, in RE2: several matches are alternatives, several headers must all hold';
  return { reason: 'RegexUnsupported', message, fix: fix ?? without };
}

function tooLarge(size: number, most: number): RegexFault {
  const message = `the pattern compiles to ${size} instructions; ${most} is the most that is taken`;
  return { reason: 'RegexTooLarge', message, fix: 'shorten its repetitions, or split it into several matches' };
}

function compiledSizeOf(pattern: string): number | string {
  try {
    return RE2JS.compile(pattern).programSize();
  } catch (error) {
    return error instanceof Error ? error.message : String(error);
  }
}
