/** What others wrote into a cluster, for a terminal: one line, bounded, and nothing in it that a terminal obeys. */
export function toOneLine(text: string, most = 500): string {
  const line = text
    .slice(0, 2 * most)
    .replace(/[\p{Cc}\p{Cf}\s]+/gu, ' ')
    .trim();
  return line.length > most ? `${line.slice(0, most)}…` : line;
}
