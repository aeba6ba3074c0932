/** Addresses of pods, 10.244.0.2 and on. One that was given back is taken again last, as clients may still know it. */
export interface AddressPool {
  take(): string;
  giveBack(address: string): void;
}

const first = 2;
const last = 65_000;

export function createAddressPool(): AddressPool {
  const free: string[] = [];
  let next = first;
  return {
    take() {
      if (next <= last) {
        const address = `10.244.${next >> 8}.${next & 255}`;
        // Neither a network's nor a broadcast address of a /24.
        next += 1;
        return /\.(0|255)$/.test(address) ? this.take() : address;
      }
      const again = free.shift();
      if (again === undefined) throw new Error('no address is left for a pod');
      return again;
    },
    giveBack(address) {
      free.push(address);
    },
  };
}
