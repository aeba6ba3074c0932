import { compilePattern } from '../policy/pattern.ts';

/** Some text that a pattern matches, short and plain; undefined where none was found. Whatever is given does match. */
export function samplePattern(pattern: string): string | undefined {
  const sample = sampleOf(pattern);
  return sample !== undefined && compilePattern(pattern).test(sample) ? sample : undefined;
}

function sampleOf(pattern: string): string | undefined {
  let at = 0;
  try {
    const sample = alternatives();
    return at === pattern.length ? sample : undefined;
  } catch {
    return undefined;
  }

  /** The first alternative; the others are read over. */
  function alternatives(): string {
    const first = sequence();
    while (pattern[at] === '|') {
      at += 1;
      sequence();
    }
    return first;
  }

  function sequence(): string {
    let text = '';
    while (at < pattern.length && pattern[at] !== '|' && pattern[at] !== ')') {
      const piece = atom();
      text += piece.repeat(times());
    }
    return text;
  }

  function atom(): string {
    const char = pattern[at++] ?? '';
    if (char === '^' || char === '$') return '';
    if (char === '.') return 'x';
    if (char === '\\') return escapeOf(pattern[at++] ?? '');
    if (char === '[') return classMember();
    if (char !== '(') return char;
    const group = /^\?(?:P?<\w+>|[imsU-]*:|[imsU-]+\))/.exec(pattern.slice(at));
    if (pattern[at] === '?' && !group) throw new Error('not read');
    at += group?.[0].length ?? 0;
    if (group?.[0].endsWith(')')) return '';
    const inside = alternatives();
    if (pattern[at++] !== ')') throw new Error('not closed');
    return inside;
  }

  function escapeOf(char: string): string {
    const known: Readonly<Record<string, string>> = {
      d: '1',
      w: 'x',
      s: ' ',
      D: 'x',
      W: '-',
      S: 'x',
      n: '\n',
      t: '\t',
      A: '',
      z: '',
      b: '',
    };
    if (/[a-zA-Z0-9]/.test(char) && known[char] === undefined) throw new Error('not read');
    return known[char] ?? char;
  }

  function classMember(): string {
    const end = pattern.indexOf(']', at + 1);
    const inside = pattern.slice(at, end);
    if (end < 0 || inside.includes('[')) throw new Error('not read');
    at = end + 1;
    const candidates = ['x', '1', 'a', '-', 'A', ' ', ...inside];
    const found = candidates.find((char) => compilePattern(`[${inside}]`).test(char));
    if (found === undefined) throw new Error('nothing in it');
    return found;
  }

  /** The fewest that will do. */
  function times(): number {
    const [text = '', least] = /^(?:[*+?]|\{(\d+)(?:,\d*)?\})\??/.exec(pattern.slice(at)) ?? [];
    at += text.length;
    if (text === '') return 1;
    return least === undefined ? (text.startsWith('+') ? 1 : 0) : Math.min(Number(least), 100);
  }
}
