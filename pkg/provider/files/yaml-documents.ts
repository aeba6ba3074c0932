import { type Document, isAlias, isMap, isNode, isScalar, isSeq, type Node, parseDocument } from 'yaml';

/** One YAML document of a file, parsed by itself: a neighbour's syntax error doesn't reach it. */
export interface YamlDocument {
  readonly text: string;
  /** Lines of the file before it. */
  readonly linesBefore: number;
  /** Plain JSON; undefined when there is nothing but comments, or a fault. The same object while the text is the same. */
  readonly value?: unknown;
  readonly fault?: { readonly message: string; readonly line: number; readonly column: number };
}

/** Deeper than any manifest; what follows may recurse without fear. */
const maxDepth = 100;
/** Bounds how far aliases may multiply: a few lines of them can stand for gigabytes. */
const maxAliasCount = 1000;

/**
 * Parses the documents of a file. YAML ends a document at any line that starts with `---`, whatever came before, so
 * the text is cut there first. Documents whose text `previous` has already are taken from it.
 */
export function parseDocuments(text: string, previous: readonly YamlDocument[] = []): YamlDocument[] {
  const known = new Map(previous.map((document) => [document.text, document]));
  return cut(text).map((piece) => {
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

function parse(text: string, linesBefore: number): Pick<YamlDocument, 'value' | 'fault'> {
  const start = text.trimStart();
  if (start.startsWith('{')) {
    const value = parseJson(start);
    if (value !== undefined) return depthOf(value) ? { value } : tooDeep(linesBefore);
  }
  try {
    const document = compose(text);
    const [error] = document.errors;
    if (error) return { fault: { message: sentence(error.message), ...place(text, error.pos[0], linesBefore) } };
    const value: unknown = document.toJS({ maxAliasCount });
    if (!depthOf(value)) return tooDeep(linesBefore);
    return value === null || value === undefined ? {} : { value };
  } catch (error) {
    const message = error instanceof RangeError ? 'it is nested too deeply' : sentence(String(error));
    return { fault: { message, line: linesBefore + 1, column: 1 } };
  }
}

function compose(text: string): Document.Parsed {
  return parseDocument(text, { merge: true, prettyErrors: false, logLevel: 'error' });
}

function parseJson(text: string): unknown {
  try {
    return JSON.parse(text) as unknown;
  } catch {
    return undefined;
  }
}

function tooDeep(linesBefore: number): Pick<YamlDocument, 'fault'> {
  return { fault: { message: `it is nested deeper than ${maxDepth}`, line: linesBefore + 1, column: 1 } };
}

/** False when a value is nested deeper than `maxDepth`, or contains itself. */
function depthOf(value: unknown, depth = 0): boolean {
  if (typeof value !== 'object' || value === null) return true;
  if (depth > maxDepth) return false;
  return Object.values(value).every((inner) => depthOf(inner, depth + 1));
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
