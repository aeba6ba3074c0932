const ascii = 128;

/** Classes of POSIX, as ranges of first and last character. */
const posix: Readonly<Record<string, string>> = {
  alnum: '09AZaz',
  alpha: 'AZaz',
  ascii: '\x00\x7f',
  blank: '\t\t  ',
  cntrl: '\x00\x1f\x7f\x7f',
  digit: '09',
  graph: '!~',
  lower: 'az',
  print: ' ~',
  punct: '!/:@[`{~',
  space: '\t\r  ',
  upper: 'AZ',
  word: '09AZaz__',
  xdigit: '09AFaf',
};

/** Those of Perl; \s has no vertical tab. */
const perl: Readonly<Record<string, string>> = { d: '09', s: '\t\n\f\r  ', w: posix['word'] ?? '' };

/** The characters that one step of a pattern takes: of ASCII, and all others or none of them. */
export class CharSet {
  readonly #ascii = new Uint8Array(ascii);
  #others = false;

  static named(name: string): CharSet | undefined {
    return fromRanges(Object.hasOwn(posix, name) ? posix[name] : undefined);
  }

  /** \d, \s and \w; in upper case what they are not. */
  static perl(letter: string): CharSet | undefined {
    const key = letter.toLowerCase();
    const set = fromRanges(Object.hasOwn(perl, key) ? perl[key] : undefined);
    return letter === key ? set : set?.negated();
  }

  add(other: CharSet): void {
    for (let i = 0; i < ascii; i++) if (other.#ascii[i]) this.#ascii[i] = 1;
    this.#others ||= other.#others;
  }

  addRange(first: number, last: number): void {
    this.#ascii.fill(1, first, last + 1);
  }

  negated(): CharSet {
    const made = new CharSet();
    for (let i = 0; i < ascii; i++) made.#ascii[i] = this.#ascii[i] ? 0 : 1;
    made.#others = !this.#others;
    return made;
  }

  /** How many; all that are not ASCII count as many. */
  get size(): number {
    return this.#ascii.reduce((sum, has) => sum + has, this.#others ? 2 : 0);
  }

  get first(): number {
    return this.#ascii.indexOf(1);
  }

  /**
   * The most instructions that RE2 needs for it: one for each range of bytes. An Envoy that reads UTF-8 (1.38) has six for
   * all that is not ASCII. Where case is left aside it takes the Kelvin sign for a k and the long s for an s.
   */
  instructions(folds: boolean): number {
    let ranges = 0;
    for (let i = 0; i < ascii; i++) if (this.#ascii[i] && !(i > 0 && this.#ascii[i - 1])) ranges += 1;
    if (!folds) return Math.max(1, ranges) + (this.#others ? 6 : 0);
    return 2 * ranges + 1 + (this.#others ? 26 : 5);
  }
}

export function charSetOf(char: string): CharSet {
  const set = new CharSet();
  set.addRange(char.charCodeAt(0), char.charCodeAt(0));
  return set;
}

function fromRanges(ranges: string | undefined): CharSet | undefined {
  if (ranges === undefined) return undefined;
  const set = new CharSet();
  for (let i = 0; i < ranges.length; i += 2) set.addRange(ranges.charCodeAt(i), ranges.charCodeAt(i + 1));
  return set;
}
