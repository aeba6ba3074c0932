/** Beside the characters: what an entry of a set or a map takes. */
const entryCost = 48;

/** Bytes of memory that a name takes at most. */
export function costOfName(name: string): number {
  return 2 * name.length + entryCost;
}

/** Names that a client has said, and what they cost. */
export class NameSet extends Set<string> {
  #cost = 0;

  get cost(): number {
    return this.#cost;
  }

  override add(name: string): this {
    if (!this.has(name)) this.#cost += costOfName(name);
    return super.add(name);
  }

  override delete(name: string): boolean {
    const had = super.delete(name);
    if (had) this.#cost -= costOfName(name);
    return had;
  }

  override clear(): void {
    super.clear();
    this.#cost = 0;
  }
}

/** Versions that a client has said, and what they cost. */
export function costOfVersions(versions: ReadonlyMap<string, string>): number {
  let cost = 0;
  for (const [name, version] of versions) cost += costOfName(name) + costOfName(version);
  return cost;
}
