/** Where keys and certificates are kept between runs. Names are file names: letters, digits, `-`, `.`. */
export interface CertStore {
  read(name: string): Promise<Buffer | undefined>;
  /** All or nothing: a reader sees the old or the new bytes. */
  write(name: string, bytes: Uint8Array): Promise<void>;
  remove(name: string): Promise<void>;
  /** Names that begin with the prefix. */
  list(prefix: string): Promise<readonly string[]>;
}

/** Somebody else wrote since this store was read: what was to be written rests on something old. */
export class StoreConflict extends Error {
  override readonly name = 'StoreConflict';
}
