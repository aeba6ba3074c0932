import { Lexer } from 'yaml';

/** Deeper than any manifest; what follows may recurse without fear. */
export const maxDepth = 100;
/** Some megabytes of ordinary YAML in one document. */
const maxTokens = 500_000;
/** Below this size nothing bad can come of parsing. */
const harmlessLength = 2048;

/**
 * Says what of a document would cost the parser more than a manifest may, before it is parsed: a megabyte of opening
 * brackets takes gigabytes to parse. Undefined: nothing.
 */
export function excessOf(text: string): string | undefined {
  if (text.length < harmlessLength) return undefined;
  let depth = 0;
  let tokens = 0;
  let indicatorsInLine = 0;
  for (const token of new Lexer().lex(text)) {
    if (++tokens > maxTokens) return `it has more than ${maxTokens} tokens`;
    if (token === '[' || token === '{') depth++;
    else if (token === ']' || token === '}') depth--;
    else if (token === '-' || token === '?' || token === ':') indicatorsInLine++;
    else if (token === '\n' || token === '\r\n') indicatorsInLine = 0;
    if (depth > maxDepth || (depth === 0 && indicatorsInLine > maxDepth)) return `it is nested deeper than ${maxDepth}`;
  }
  return undefined;
}
