/** Where apps find the name server: an address that nothing else has. */
export const nameserver = '198.18.0.1';

/** 198.18.0.0/15 is for tests of networks and leads nowhere (RFC 2544): addresses of it are free to mean names. */
const base = (198 << 24) | (18 << 16);
const size = 2 ** 17;
/** Below are addresses of our own. */
const first = 256;

/**
 * Addresses that stand for names outside of the mesh, so that a connection to one says which name was meant. The
 * `capacity` names that were used last have one: from a hash of the name, and the next free one when it is taken, so
 * that an address that an app still knows hardly ever comes to mean another name, not even when the sidecar restarts.
 */
export interface OutsideNames {
  addressOf(name: string): string;
  /** What an address stands for; undefined: for nothing (any more). */
  nameOf(address: string): string | undefined;
}

export function createOutsideNames(capacity = 16_384): OutsideNames {
  const byName = new Map<string, number>();
  const byIndex = new Map<number, string>();

  function use(name: string, index: number): void {
    byName.delete(name);
    byName.set(name, index);
  }

  function take(name: string): number {
    let index = first + (hash(name) % (size - first));
    while (byIndex.has(index)) index = index + 1 < size ? index + 1 : first;
    return index;
  }

  return {
    addressOf(name) {
      let index = byName.get(name);
      if (index === undefined) {
        const [oldest] = byName;
        if (byName.size >= capacity && oldest) {
          byName.delete(oldest[0]);
          byIndex.delete(oldest[1]);
        }
        index = take(name);
        byIndex.set(index, name);
      }
      use(name, index);
      return toText(base + index);
    },
    nameOf(address) {
      const index = toIndex(address);
      const name = index === undefined ? undefined : byIndex.get(index);
      if (name !== undefined && index !== undefined) use(name, index);
      return name;
    },
  };
}

/** FNV-1a, 32 bits. */
function hash(text: string): number {
  let value = 0x811c9dc5;
  for (let i = 0; i < text.length; i += 1) value = Math.imul(value ^ text.charCodeAt(i), 0x01000193) >>> 0;
  return value;
}

/** Whether an address is of those that stand for names. */
export function standsForName(address: string): boolean {
  return toIndex(address) !== undefined;
}

function toIndex(address: string): number | undefined {
  const parts = address.split('.').map(Number);
  if (parts.length !== 4 || parts.some((part) => !Number.isInteger(part) || part < 0 || part > 255)) return undefined;
  const [a = 0, b = 0, c = 0, d = 0] = parts;
  return a === 198 && (b === 18 || b === 19) ? ((b - 18) << 16) | (c << 8) | d : undefined;
}

function toText(address: number): string {
  return [24, 16, 8, 0].map((shift) => (address >>> shift) & 255).join('.');
}
