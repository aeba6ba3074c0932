/**
 * What one sentence of the specification asks for, in our words, and what Tulle does about it.
 * `differs` and `not yet` say why; a sentence that asks nothing of an implementation is `not ours`.
 */
export interface Sentence {
  /** Heading of the specification. */
  readonly section: string;
  readonly says: string;
  /** Row of DECISIONS, or what was decided in a word. */
  readonly decision: string;
  readonly result: 'pass' | 'differs' | 'not yet' | 'not ours';
  readonly why?: string;
  /** `scenario: <folder of test/scenarios>` or `<file>: <part of a test's title>`. */
  readonly tests: readonly string[];
}
