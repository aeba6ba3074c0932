/** The types of records that are told apart here (RFC 1035 §3.2.2, RFC 3596). */
const recordTypes = { a: 1, aaaa: 28, any: 255 } as const;

export interface DnsQuery {
  readonly id: number;
  readonly recursionDesired: boolean;
  /** Lower case, without the dot at its end. */
  readonly name: string;
  readonly type: number;
  /** The question as it was asked: it is repeated in the answer, letter by letter. */
  readonly question: Buffer;
}

export interface DnsAnswer {
  readonly code: 'ok' | 'no-such-name' | 'failed';
  /** IPv4. */
  readonly addresses: readonly string[];
  readonly ttlSeconds: number;
}

const codes: Readonly<Record<DnsAnswer['code'], number>> = { ok: 0, failed: 2, 'no-such-name': 3 };
const headerBytes = 12;
/** What every resolver takes in one datagram (RFC 1035 §2.3.4): 12 + 255 + 4 + 14 × 16 fits. */
const maxAddresses = 14;

/** One question of class IN, as resolvers ask it; undefined for everything else. */
export function decodeQuery(message: Buffer): DnsQuery | undefined {
  if (message.length < headerBytes + 5) return undefined;
  const flags = message.readUInt16BE(2);
  const isQuery = (flags & 0x8000) === 0 && (flags & 0x7800) === 0;
  if (!isQuery || message.readUInt16BE(4) !== 1) return undefined;
  const labels: string[] = [];
  let at = headerBytes;
  for (;;) {
    const length = message[at];
    // A pointer has nothing before it to point to.
    if (length === undefined || length > 63) return undefined;
    at += 1;
    if (length === 0) break;
    if (at + length > message.length || at - headerBytes + length > 254) return undefined;
    labels.push(message.toString('latin1', at, at + length));
    at += length;
  }
  if (at + 4 > message.length || message.readUInt16BE(at + 2) !== 1) return undefined;
  return {
    id: message.readUInt16BE(0),
    recursionDesired: (flags & 0x0100) !== 0,
    name: labels.join('.').toLowerCase(),
    type: message.readUInt16BE(at),
    question: message.subarray(headerBytes, at + 4),
  };
}

/** A whole answer, or, for a name without records of this type, one that holds none. */
export function encodeAnswer(query: DnsQuery, { code, addresses, ttlSeconds }: DnsAnswer): Buffer {
  const wanted = query.type === recordTypes.a || query.type === recordTypes.any;
  const records = code === 'ok' && wanted ? addresses.slice(0, maxAddresses) : [];
  const header = Buffer.alloc(headerBytes);
  header.writeUInt16BE(query.id, 0);
  // An answer, with authority, and recursion on offer.
  header.writeUInt16BE(0x8480 | (query.recursionDesired ? 0x0100 : 0) | codes[code], 2);
  header.writeUInt16BE(1, 4);
  header.writeUInt16BE(records.length, 6);
  return Buffer.concat([header, query.question, ...records.map((address) => toRecord(address, ttlSeconds))]);
}

function toRecord(address: string, ttlSeconds: number): Buffer {
  const record = Buffer.alloc(16);
  // The name is that of the question.
  record.writeUInt16BE(0xc000 | headerBytes, 0);
  record.writeUInt16BE(recordTypes.a, 2);
  record.writeUInt16BE(1, 4);
  record.writeUInt32BE(ttlSeconds, 6);
  record.writeUInt16BE(4, 10);
  for (const [i, part] of address.split('.').entries()) record[12 + i] = Number(part);
  return record;
}

/** Not understood: the header alone, with code 1 (FORMERR) or 4 (NOTIMP); undefined when there is not even an id. */
export function encodeRefusal(message: Buffer): Buffer | undefined {
  if (message.length < headerBytes || (message.readUInt16BE(2) & 0x8000) !== 0) return undefined;
  const header = Buffer.alloc(headerBytes);
  header.writeUInt16BE(message.readUInt16BE(0), 0);
  header.writeUInt16BE(0x8080 | ((message.readUInt16BE(2) & 0x7800) === 0 ? 1 : 4), 2);
  return header;
}
