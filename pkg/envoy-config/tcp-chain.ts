import type { ServiceIdentity } from '../policy/identity.ts';

/**
 * What is remembered of the filter chain of an enforced TCP port. The account of a peer is checked in the handshake
 * alone, so what closes the connections of one whose grant is taken back is that the chain is replaced (DECISIONS E3).
 */
export interface TcpChain {
  /** Of the filter chain. Another name is another chain: Envoy drains the one before, and closes its connections. */
  readonly name: string;
  /** All that may have connected since the chain was last replaced. */
  readonly admitted: readonly ServiceIdentity[];
  /** Those for whom it was last replaced. */
  readonly floor: readonly ServiceIdentity[];
  /** Tells apart chains of equal floors. */
  readonly round: string;
}

/** By port. */
export type TcpChains = ReadonlyMap<number, TcpChain>;

/** Of whom nothing was given before. */
export const noChains: TcpChains = new Map();

/**
 * The chain for these sources. It stays when some are added, which the validation context alone has to hear of, and is
 * replaced when one goes of those that it has let in. Undefined: nobody has been let in yet.
 *
 * No name comes twice: an Envoy that was told of the first and the last of three chains alone must see a difference.
 * Where the floor only ever shrinks, the sources suffice to name it, and a restart of the control plane finds that name.
 */
export function toTcpChain(
  port: number,
  sources: readonly ServiceIdentity[],
  previous?: TcpChain,
): TcpChain | undefined {
  if (previous === undefined) return sources.length === 0 ? undefined : replace(port, sources, '');
  if (isSame(previous.admitted, sources)) return previous;
  if (isWithin(previous.admitted, sources)) return { ...previous, admitted: sources };
  const shrinks = sources.length < previous.floor.length && isWithin(sources, previous.floor);
  return replace(port, sources, shrinks ? previous.round : previous.name);
}

/** The chains before, where nothing about them changed. */
export function keepChains(before: TcpChains, after: TcpChains): TcpChains {
  const isSame = before.size === after.size && [...after].every(([port, chain]) => before.get(port) === chain);
  return isSame ? before : after;
}

/** Equal for chains from which the same sources lead to the same chains. */
export function toHistoryKey(chains: TcpChains): string {
  return [...chains].map(([, { name, admitted }]) => [name, ...admitted].join(' ')).join('\n');
}

function replace(port: number, sources: readonly ServiceIdentity[], round: string): TcpChain {
  const parts = round === '' ? sources : [round, ...sources];
  return { name: `${port}/tls/${toFingerprint(parts)}`, admitted: sources, floor: sources, round };
}

function isSame(some: readonly ServiceIdentity[], others: readonly ServiceIdentity[]): boolean {
  return some.length === others.length && some.every((each, i) => each === others[i]);
}

function isWithin(some: readonly ServiceIdentity[], all: readonly ServiceIdentity[]): boolean {
  const known = new Set(all);
  return some.every((each) => known.has(each));
}

/** FNV-1a, 32 bits: tells lists apart in a name, protects nothing. */
function toFingerprint(texts: readonly string[]): string {
  let hash = 0x811c9dc5;
  for (const char of texts.join('\n')) hash = Math.imul(hash ^ (char.codePointAt(0) ?? 0), 0x01000193);
  return (hash >>> 0).toString(16).padStart(8, '0');
}
