import { createHash } from 'node:crypto';
import { WireReader } from './wire.ts';

/** By hash of the bytes. A thousand clients that come back say the same: it is read once, and is one object. */
const recentVersions = new Map<string, WeakRef<ReadonlyMap<string, string>>>();
/** Bytes. */
const worthSharing = 1024;
const maxRecent = 256;

/** The entries of a map of strings; `fields` are whole fields, tags included. */
export function toVersions(fields: readonly Buffer[]): ReadonlyMap<string, string> {
  const [all = Buffer.alloc(0), ...others] = fields;
  if (others.length > 0 || all.length < worthSharing) return decodeVersions(fields);
  const key = createHash('sha256').update(all).digest('base64');
  const known = recentVersions.get(key)?.deref();
  if (known) return known;
  const versions = decodeVersions(fields);
  if (recentVersions.size >= maxRecent) recentVersions.clear();
  recentVersions.set(key, new WeakRef(versions));
  return versions;
}

function decodeVersions(fields: readonly Buffer[]): ReadonlyMap<string, string> {
  const versions = new Map<string, string>();
  for (const bytes of fields) {
    const reader = new WireReader(bytes);
    while (reader.next() !== 0) versions.set(...decodeEntry(reader.bytes()));
  }
  return versions;
}

function decodeEntry(bytes: Buffer): [string, string] {
  const reader = new WireReader(bytes);
  let key = '';
  let value = '';
  for (let field = reader.next(); field !== 0; field = reader.next()) {
    if (field === 1) key = reader.string();
    else if (field === 2) value = reader.string();
    else reader.skip();
  }
  return [key, value];
}
