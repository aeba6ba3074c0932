import { toBytesField, toStringField, WireReader } from './wire.ts';

/** envoy.extensions.transport_sockets.tls.v3.Secret, as far as both data planes use it. */
export type Secret =
  | { readonly kind: 'certificate'; readonly name: string; readonly chain: Buffer; readonly privateKey: Buffer }
  | { readonly kind: 'roots'; readonly name: string; readonly roots: Buffer };

/** Names of the two secrets that every client may ask for: its certificate and the roots of the mesh. */
export const secretNames = { identity: 'identity', roots: 'roots' } as const;

export function encodeSecret(secret: Secret): Buffer {
  const name = toStringField(1, secret.name);
  if (secret.kind === 'roots') return Buffer.concat([name, toBytesField(4, toDataSource(1, secret.roots))]);
  const certificate = Buffer.concat([toDataSource(1, secret.chain), toDataSource(2, secret.privateKey)]);
  return Buffer.concat([name, toBytesField(2, certificate)]);
}

/** Throws on bytes that are no Secret, or one of another kind. */
export function decodeSecret(bytes: Buffer): Secret {
  const reader = new WireReader(bytes);
  let name = '';
  let secret: Secret | undefined;
  for (let field = reader.next(); field !== 0; field = reader.next()) {
    if (field === 1) name = reader.string();
    else if (field === 2) secret = { kind: 'certificate', name: '', ...decodeCertificate(reader.bytes()) };
    else if (field === 4) secret = { kind: 'roots', name: '', roots: decodeSources(reader.bytes(), 1).get(1) ?? empty };
    else reader.skip();
  }
  if (!secret) throw new Error(`secret "${name}" holds neither a certificate nor roots`);
  return { ...secret, name };
}

const empty: Buffer = Buffer.alloc(0);

function decodeCertificate(bytes: Buffer): { chain: Buffer; privateKey: Buffer } {
  const sources = decodeSources(bytes, 2);
  return { chain: sources.get(1) ?? empty, privateKey: sources.get(2) ?? empty };
}

/** envoy.config.core.v3.DataSource with inline_bytes, in a field. */
function toDataSource(field: number, bytes: Buffer): Buffer {
  return toBytesField(field, toBytesField(2, bytes));
}

/** The inline bytes of the fields up to `last`, each a DataSource. */
function decodeSources(bytes: Buffer, last: number): ReadonlyMap<number, Buffer> {
  const reader = new WireReader(bytes);
  const sources = new Map<number, Buffer>();
  for (let field = reader.next(); field !== 0; field = reader.next()) {
    if (field > last) {
      reader.skip();
      continue;
    }
    const source = new WireReader(reader.bytes());
    for (let part = source.next(); part !== 0; part = source.next()) {
      // 2: inline_bytes, 3: inline_string
      if (part === 2 || part === 3) sources.set(field, source.bytes());
      else source.skip();
    }
  }
  return sources;
}
