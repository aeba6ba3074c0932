/** Virtual addresses of Services: 10.96.0.0/12, as most clusters have it. */
export const serviceRange = { base: 0x0a600000, bits: 20 } as const;
/** Addresses of pods that aren't running: 10.244.0.0/16. */
export const podRange = { base: 0x0af40000, bits: 16 } as const;

/**
 * Gives names an address each: from a hash of the name, so that it is the same on every machine and after a restart,
 * and the next free one when it is taken. A name keeps its address as long as it is asked for.
 */
export interface AddressPool {
  /** Addresses for all names, in order; `taken` are not given out. Names not among these lose theirs. */
  assign(names: readonly string[], taken: ReadonlySet<string>): ReadonlyMap<string, string>;
}

export function createAddressPool({ base, bits }: { base: number; bits: number }): AddressPool {
  let held = new Map<string, string>();
  const size = 2 ** bits;

  return {
    assign(names, taken) {
      const next = new Map<string, string>();
      const used = new Set(taken);
      for (const name of names) {
        const address = held.get(name);
        if (address === undefined || used.has(address)) continue;
        next.set(name, address);
        used.add(address);
      }
      // Sorted, so that who yields in a collision doesn't depend on the order of files.
      for (const name of names.filter((name) => !next.has(name)).sort()) {
        let slot = hash(name) % size;
        for (let tries = 0; tries < size; tries++, slot = (slot + 1) % size) {
          const address = toAddress(base + slot);
          if (!isUsable(slot) || used.has(address)) continue;
          next.set(name, address);
          used.add(address);
          break;
        }
      }
      held = next;
      return next;
    },
  };
}

/** The lowest 256 are kept free for what clusters put there (the API server, DNS), and no address ends in 0 or 255. */
function isUsable(slot: number): boolean {
  const last = slot & 0xff;
  return slot > 0xff && last !== 0 && last !== 0xff;
}

function toAddress(value: number): string {
  return [24, 16, 8, 0].map((shift) => (value >>> shift) & 0xff).join('.');
}

/** FNV-1a, 32 bit. */
function hash(text: string): number {
  let value = 0x811c9dc5;
  for (const char of text) value = Math.imul(value ^ (char.codePointAt(0) ?? 0), 0x01000193);
  return value >>> 0;
}
