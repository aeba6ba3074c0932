import { type Document, isAlias, isMap, isNode, isScalar, isSeq, type Node, parseDocument, Schema, visit } from 'yaml';
import { excessOf, maxDepth } from './yaml-bounds.ts';

/** One YAML document of a file, parsed by itself: a neighbour's syntax error doesn't reach it. */
export interface YamlDocument {
  readonly text: string;
  /** Lines of the file before it. */
  readonly linesBefore: number;
  /** Plain JSON; undefined when there is nothing but comments, or a fault. The same object while the text is the same. */
  readonly value?: unknown;
  readonly fault?: { readonly message: string; readonly line: number; readonly column: number };
}

const maxDocuments = 20_000;
/** Bounds how far aliases may multiply: a few lines of them can stand for gigabytes. */
const maxAliasCount = 1000;

/**
 * Parses the documents of a file. YAML ends a document at any line that starts with `---`, whatever came before, so
 * the text is cut there first. Documents whose text `previous` has already are taken from it.
 */
export function parseDocuments(text: string, previous: readonly YamlDocument[] = []): YamlDocument[] {
  const known = new Map(previous.map((document) => [document.text, document]));
  const pieces = cut(text);
  const surplus = pieces[maxDocuments];
  if (surplus !== undefined) {
    const message = `the file has more than ${maxDocuments} documents`;
    return [{ ...surplus, ...faultAt('', 0, surplus.linesBefore, message) }];
  }
  return pieces.map((piece) => {
    const same = known.get(piece.text);
    if (same === undefined || same.fault) return { ...piece, ...parse(piece.text, piece.linesBefore) };
    return same.linesBefore === piece.linesBefore ? same : { ...same, ...piece };
  });
}

function cut(text: string): { text: string; linesBefore: number }[] {
  const pieces: { text: string; linesBefore: number }[] = [];
  let start = 0;
  let startLine = 0;
  let line = 0;
  let hasContent = false;
  const close = (end: number, nextLine: number): void => {
    if (hasContent) pieces.push({ text: text.slice(start, end), linesBefore: startLine });
    start = end;
    startLine = nextLine;
    hasContent = false;
  };
  for (let at = 0; at < text.length; line++) {
    const newline = text.indexOf('\n', at);
    const end = newline < 0 ? text.length : newline + 1;
    const mark = text.slice(at, at + 3);
    const isMark = (mark === '---' || mark === '...') && /^\s?$/.test(text.slice(at + 3, at + 4));
    if (isMark && mark === '---') close(at, line);
    // `%YAML` and comments belong to the document that follows them.
    if (!isMark && !hasContent) hasContent = !/^[ \t]*(?:[#%\r\n]|$)/.test(text.slice(at, Math.min(end, at + 200)));
    if (isMark && mark === '---') hasContent = /^---[ \t]+[^#\s]/.test(text.slice(at, end));
    at = end;
    if (isMark && mark === '...') close(at, line + 1);
  }
  close(text.length, line);
  return pieces;
}

type Parsed = Pick<YamlDocument, 'value' | 'fault'>;

function parse(text: string, linesBefore: number): Parsed {
  const tooDeep = `it is nested deeper than ${maxDepth}`;
  const faulty = (message: string, offset = 0): Parsed => faultAt(text, offset, linesBefore, message);
  const start = text.trimStart();
  if (start.startsWith('{')) {
    const value = parseJson(start);
    if (value !== undefined) return isShallow(value) ? { value } : faulty(tooDeep);
  }
  const excess = excessOf(text);
  if (excess !== undefined) return faulty(excess);
  try {
    const document = compose(text);
    const [error] = document.errors;
    if (error) return faulty(sentence(error.message), error.pos[0]);
    const twice = duplicateKey(document);
    if (twice) return faulty(`the key "${twice.key}" stands here twice`, twice.offset);
    const value: unknown = document.toJS({ maxAliasCount });
    if (!isShallow(value)) return faulty(tooDeep);
    return value === null || value === undefined ? {} : { value };
  } catch (error) {
    return faulty(error instanceof RangeError ? tooDeep : sentence(String(error)));
  }
}

function faultAt(text: string, offset: number, linesBefore: number, message: string): Parsed {
  return { fault: { message, ...place(text, offset, linesBefore) } };
}

/** Keys are held against each other by `duplicateKey`: the parser's own way takes the square of their number. */
function compose(text: string): Document.Parsed {
  const options = { merge: true, uniqueKeys: false, prettyErrors: false, logLevel: 'error' } as const;
  // A document that names its version has the schema of that one.
  return parseDocument(text, text.includes('%YAML') ? options : { ...options, schema: shared });
}

/** What the parser would make anew for each document, at a tenth of all the time that reading takes. */
const shared = new Schema({ schema: 'core', resolveKnownTags: true, merge: true });

function duplicateKey(document: Document.Parsed): { key: string; offset: number } | undefined {
  let found: { key: string; offset: number } | undefined;
  visit(document, {
    Map(_, { items }) {
      const seen = new Set<unknown>();
      for (const { key } of items) {
        if (!isScalar(key)) continue;
        if (seen.has(key.value) && key.value !== '<<') {
          found = { key: String(key.value).slice(0, 60), offset: key.range?.[0] ?? 0 };
          return visit.BREAK;
        }
        seen.add(key.value);
      }
      return undefined;
    },
  });
  return found;
}

function parseJson(text: string): unknown {
  try {
    return JSON.parse(text) as unknown;
  } catch {
    return undefined;
  }
}

/** False when a value is nested deeper than `maxDepth`, or contains itself. */
function isShallow(value: unknown, depth = 0): boolean {
  if (typeof value !== 'object' || value === null) return true;
  if (depth > maxDepth) return false;
  return Object.values(value).every((inner) => isShallow(inner, depth + 1));
}

function sentence(message: string): string {
  const [first = ''] = message.replace(/^\w*Error: /, '').split('\n');
  return first.replace(/[.:]$/, '').slice(0, 200);
}

function place(text: string, offset: number, linesBefore: number): { line: number; column: number } {
  const before = text.slice(0, offset);
  const lastNewline = before.lastIndexOf('\n');
  let lines = 0;
  for (let at = before.indexOf('\n'); at >= 0; at = before.indexOf('\n', at + 1)) lines++;
  return { line: linesBefore + lines + 1, column: offset - lastNewline };
}

const composed = new WeakMap<YamlDocument, Document.Parsed>();

/** Where the value behind a JSON pointer stands; for one that is missing, the nearest that is there above it. */
export function placeOf(document: YamlDocument, pointer: string): { line: number; column: number } {
  let tree = composed.get(document);
  if (tree === undefined) {
    // JSON is read by a parser that needs no bound; for its places the other one does.
    if (excessOf(document.text) !== undefined) return { line: document.linesBefore + 1, column: 1 };
    tree = compose(document.text);
    composed.set(document, tree);
  }
  const steps = pointer
    .split('/')
    .slice(1)
    .map((step) => step.replaceAll('~1', '/').replaceAll('~0', '~'));
  let node: Node | null = tree.contents;
  for (const step of steps) {
    const below = child(tree, node, step);
    if (below === undefined) break;
    node = below;
  }
  return place(document.text, node?.range?.[0] ?? 0, document.linesBefore);
}

function child(tree: Document.Parsed, node: Node | null, step: string): Node | undefined {
  const target = isAlias(node) ? node.resolve(tree) : node;
  if (isSeq(target)) {
    const item = /^\d+$/.test(step) ? target.items[Number(step)] : undefined;
    return isNode(item) ? item : undefined;
  }
  if (!isMap(target)) return undefined;
  const pair = target.items.find(({ key }) => isScalar(key) && String(key.value) === step);
  // A key without a value has no node of its own to point at.
  if (pair && isNode(pair.value)) return pair.value;
  return isNode(pair?.key) ? pair.key : undefined;
}
