import {
  createHash,
  createPrivateKey,
  createPublicKey,
  generateKeyPairSync,
  type KeyObject,
  randomBytes,
  sign,
} from 'node:crypto';
import {
  toBitString,
  toBoolean,
  toExplicit,
  toImplicit,
  toInteger,
  toObjectId,
  toOctetString,
  toSequence,
  toSet,
  toTime,
  toTlv,
  toUtf8String,
} from './der.ts';

/** A certificate and its key, PEM both. Never log one. */
export interface CertificateAndKey {
  readonly certificate: string;
  readonly privateKey: string;
  readonly notBefore: number;
  readonly notAfter: number;
}

export interface Validity {
  /** Milliseconds since 1970. */
  readonly from: number;
  readonly lifetime: number;
}

export interface LeafNames {
  readonly uris: readonly string[];
  readonly dnsNames: readonly string[];
}

const oid = {
  ecdsaWithSha256: '1.2.840.10045.4.3.2',
  rsaWithSha256: '1.2.840.113549.1.1.11',
  commonName: '2.5.4.3',
  organization: '2.5.4.10',
  subjectKeyIdentifier: '2.5.29.14',
  keyUsage: '2.5.29.15',
  subjectAltName: '2.5.29.17',
  basicConstraints: '2.5.29.19',
  authorityKeyIdentifier: '2.5.29.35',
  extendedKeyUsage: '2.5.29.37',
  serverAuth: '1.3.6.1.5.5.7.3.1',
  clientAuth: '1.3.6.1.5.5.7.3.2',
} as const;

/** Clocks differ a little: a certificate is valid from somewhat before it was made. */
const backdate = 60_000;

/** A self-signed root: ECDSA P-256, may sign leaves and nothing below them (DECISIONS I2). */
export function createRoot(name: string, { from, lifetime }: Validity): CertificateAndKey {
  const { spki, privateKey } = generateKey();
  const subject = toName(name);
  const notBefore = from - backdate;
  const notAfter = from + lifetime;
  const extensions = [
    toExtension(oid.basicConstraints, toSequence(toBoolean(true), toInteger(Buffer.from([0]))), true),
    // keyCertSign and cRLSign, bits 5 and 6
    toExtension(oid.keyUsage, toBitString(Buffer.from([0b0000_0110]), 1), true),
    toExtension(oid.subjectKeyIdentifier, toOctetString(toKeyId(spki))),
  ];
  const signingKey = createPrivateKey(privateKey);
  const certificate = toCertificate({ issuer: subject, subject, spki, notBefore, notAfter, extensions, signingKey });
  return { certificate, privateKey, notBefore, notAfter };
}

/** A root with its key ready to sign. */
export interface Issuer {
  /**
   * A leaf for client and server: it names its owner in the alternative names only (SPIFFE X.509-SVID).
   */
  issue(names: LeafNames, validity: Validity): CertificateAndKey;
}

export function createIssuer(root: Pick<CertificateAndKey, 'certificate' | 'privateKey'>, rootName: string): Issuer {
  return createIssuerNamed({
    name: toName(rootName),
    keyId: toKeyId(createPublicKey(root.certificate).export({ type: 'spki', format: 'der' })),
    signingKey: createPrivateKey(root.privateKey),
  });
}

/** Who signs, as its certificate says it: the name and key identifier byte for byte. */
export interface IssuerIdentity {
  /** DER of its subject. */
  readonly name: Uint8Array;
  readonly keyId?: Uint8Array;
  /** An elliptic curve or RSA. */
  readonly signingKey: KeyObject;
}

export function createIssuerNamed({ name: issuer, keyId, signingKey }: IssuerIdentity): Issuer {
  return {
    issue(names, { from, lifetime }) {
      const { spki, privateKey } = generateKey();
      const notBefore = from - backdate;
      const notAfter = from + lifetime;
      const alternatives = [
        ...names.uris.map((uri) => toImplicit(6, toIa5(uri))),
        ...names.dnsNames.map((name) => toImplicit(2, toIa5(name))),
      ];
      const extensions = [
        toExtension(oid.basicConstraints, toSequence(), true),
        // digitalSignature, bit 0
        toExtension(oid.keyUsage, toBitString(Buffer.from([0b1000_0000]), 7), true),
        toExtension(oid.extendedKeyUsage, toSequence(toObjectId(oid.serverAuth), toObjectId(oid.clientAuth))),
        // RFC 5280 4.2.1.6: critical, because the subject is empty
        toExtension(oid.subjectAltName, toSequence(...alternatives), true),
        toExtension(oid.subjectKeyIdentifier, toOctetString(toKeyId(spki))),
        ...(keyId ? [toExtension(oid.authorityKeyIdentifier, toSequence(toImplicit(0, keyId)))] : []),
      ];
      const subject = toSequence();
      const certificate = toCertificate({ issuer, subject, spki, notBefore, notAfter, extensions, signingKey });
      return { certificate, privateKey, notBefore, notAfter };
    },
  };
}

/** One leaf; whoever issues many keeps an Issuer. */
export function createLeaf(
  root: Pick<CertificateAndKey, 'certificate' | 'privateKey'>,
  rootName: string,
  names: LeafNames,
  validity: Validity,
): CertificateAndKey {
  return createIssuer(root, rootName).issue(names, validity);
}

interface CertificateContent {
  readonly issuer: Uint8Array;
  readonly subject: Buffer;
  readonly spki: Buffer;
  readonly notBefore: number;
  readonly notAfter: number;
  readonly extensions: readonly Buffer[];
  /** The issuer's. */
  readonly signingKey: KeyObject;
}

/** RFC 5280 4.1 */
function toCertificate(content: CertificateContent): string {
  const { issuer, subject, spki, notBefore, notAfter, extensions, signingKey } = content;
  const isRsa = signingKey.asymmetricKeyType === 'rsa';
  // RFC 4055 2.1: RSA's has NULL for parameters, RFC 5758 3.2: ECDSA's has none.
  const algorithm = isRsa
    ? toSequence(toObjectId(oid.rsaWithSha256), toTlv(0x05))
    : toSequence(toObjectId(oid.ecdsaWithSha256));
  const toBeSigned = toSequence(
    toExplicit(0, toInteger(Buffer.from([2]))),
    toInteger(toSerial()),
    algorithm,
    issuer,
    toSequence(toTime(notBefore), toTime(notAfter)),
    subject,
    spki,
    toExplicit(3, toSequence(...extensions)),
  );
  const signature = sign('sha256', toBeSigned, signingKey);
  return toPem(toSequence(toBeSigned, algorithm, toBitString(signature)));
}

function generateKey(): { spki: Buffer; privateKey: string } {
  const { publicKey, privateKey } = generateKeyPairSync('ec', {
    namedCurve: 'prime256v1',
    publicKeyEncoding: { type: 'spki', format: 'der' },
    privateKeyEncoding: { type: 'pkcs8', format: 'pem' },
  });
  return { spki: publicKey, privateKey };
}

/** 16 random bytes, positive and never 0 (RFC 5280 4.1.2.2). */
function toSerial(): Buffer {
  const serial = randomBytes(16);
  serial[0] = ((serial[0] ?? 0) & 0x7f) | 0x40;
  return serial;
}

/** RFC 5280 4.2.1.2 leaves the method open; this one needs no parsing of the key. */
const toKeyId = (spki: Uint8Array): Buffer => createHash('sha256').update(spki).digest().subarray(0, 20);

function toName(commonName: string): Buffer {
  const part = (type: string, text: string): Buffer => toSet(toSequence(toObjectId(type), toUtf8String(text)));
  // RFC 5280 appendix A: at most 64 characters each
  return toSequence(part(oid.organization, 'Tulle'), part(oid.commonName, commonName.slice(0, 64)));
}

function toExtension(id: string, value: Buffer, critical = false): Buffer {
  return toSequence(toObjectId(id), critical ? toBoolean(true) : Buffer.alloc(0), toOctetString(value));
}

function toIa5(text: string): Buffer {
  if (!/^[\x21-\x7e]+$/.test(text)) throw new Error(`not a name for a certificate: ${JSON.stringify(text)}`);
  return Buffer.from(text, 'ascii');
}

function toPem(der: Buffer): string {
  const lines = der.toString('base64').match(/.{1,64}/g) ?? [];
  return `-----BEGIN CERTIFICATE-----\n${lines.join('\n')}\n-----END CERTIFICATE-----\n`;
}
