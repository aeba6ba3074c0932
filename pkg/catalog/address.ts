/**
 * One spelling for each address: what is compared must not differ by how it was written. `010.0.0.1`, `::ffff:10.0.0.1` and
 * `::ffff:a00:1` are `10.0.0.1`; groups of an IPv6 address have no leading zeros and none is left out. A text that is no
 * address stays as it is.
 */
export function toPlainAddress(text: string): string {
  const quad = toQuad(text);
  if (quad) return quad.join('.');
  if (!text.includes(':')) return text;
  const groups = toGroups(text.toLowerCase());
  if (groups === undefined) return text;
  const isMapped = groups.slice(0, 5).every((group) => group === 0) && groups[5] === 0xffff;
  if (!isMapped) return groups.map((group) => group.toString(16)).join(':');
  return groups
    .slice(6)
    .flatMap((group) => [group >> 8, group & 0xff])
    .join('.');
}

function toQuad(text: string): readonly number[] | undefined {
  if (!/^\d{1,10}(\.\d{1,10}){3}$/.test(text)) return undefined;
  const quad = text.split('.').map(Number);
  return quad.every((byte) => byte <= 255) ? quad : undefined;
}

/** The eight groups; undefined: not so many, or no numbers. */
function toGroups(text: string): readonly number[] | undefined {
  const [, head = '', last = ''] = /^(.*:)([^:]*\.[^:]*)$/.exec(text) ?? [];
  const quad = last === '' ? undefined : toQuad(last);
  const words = quad ? `${head}${hex(quad[0], quad[1])}:${hex(quad[2], quad[3])}` : text;
  const halves = words.split('::').map((half) => (half === '' ? [] : half.split(':')));
  const [front = [], back] = halves;
  const missing = 8 - front.length - (back?.length ?? 0);
  if (halves.length > 2 || (back === undefined ? missing !== 0 : missing < 1)) return undefined;
  const all = [...front, ...Array.from({ length: missing }, () => '0'), ...(back ?? [])];
  return all.every((group) => /^[0-9a-f]{1,4}$/.test(group))
    ? all.map((group) => Number.parseInt(group, 16))
    : undefined;
}

function hex(high = 0, low = 0): string {
  return (high * 256 + low).toString(16);
}
