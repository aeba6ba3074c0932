/** Distinguished Encoding Rules (X.690), the reading half: what must be copied byte for byte out of a certificate. */

interface Tlv {
  readonly tag: number;
  /** With tag and length. */
  readonly whole: Buffer;
  readonly content: Buffer;
}

/** What a certificate says of its owner: RFC 5280 4.1, `subject` and the extension of 4.2.1.2. */
export interface CertificateNames {
  readonly subject: Buffer;
  readonly issuer: Buffer;
  readonly keyId?: Buffer;
}

const subjectKeyIdentifier = Buffer.from([0x06, 0x03, 0x55, 0x1d, 0x0e]);

export function readCertificateNames(der: Buffer): CertificateNames {
  const [tbs] = children(readTlv(der, 0).content);
  const fields = children(tbs?.content ?? Buffer.alloc(0));
  // [0] version is there in every certificate but those of version 1.
  const start = fields[0]?.tag === 0xa0 ? 1 : 0;
  const issuer = fields[start + 2];
  const subject = fields[start + 4];
  if (!issuer || !subject) throw new Error('not a certificate');
  const keyId = readKeyId(fields.find(({ tag }) => tag === 0xa3));
  return { subject: subject.whole, issuer: issuer.whole, ...(keyId ? { keyId } : {}) };
}

function readKeyId(extensions: Tlv | undefined): Buffer | undefined {
  const [list] = extensions ? children(extensions.content) : [];
  for (const extension of list ? children(list.content) : []) {
    const [id, ...rest] = children(extension.content);
    const value = rest.at(-1);
    if (id?.whole.equals(subjectKeyIdentifier) === true && value) return readTlv(value.content, 0).content;
  }
  return undefined;
}

function children(bytes: Buffer): Tlv[] {
  const all: Tlv[] = [];
  for (let at = 0; at < bytes.length;) {
    const tlv = readTlv(bytes, at);
    all.push(tlv);
    at += tlv.whole.length;
  }
  return all;
}

function readTlv(bytes: Buffer, at: number): Tlv {
  const tag = bytes[at];
  let length = bytes[at + 1];
  if (tag === undefined || length === undefined) throw new Error('not DER: it ends early');
  let start = at + 2;
  if (length >= 0x80) {
    const size = length & 0x7f;
    if (size === 0 || size > 4 || start + size > bytes.length) throw new Error('not DER: a length is wrong');
    length = bytes.readUIntBE(start, size);
    start += size;
  }
  if (start + length > bytes.length) throw new Error('not DER: it ends early');
  return { tag, whole: bytes.subarray(at, start + length), content: bytes.subarray(start, start + length) };
}
